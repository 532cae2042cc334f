"""Between channels and agents: who a message is for, and where its answer goes."""
