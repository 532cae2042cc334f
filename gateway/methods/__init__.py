"""What clients can call: one thin module for each namespace."""
