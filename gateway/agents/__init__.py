"""Who answers: agents, their sessions and runs, and the providers behind them."""
