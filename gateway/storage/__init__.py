"""What must survive: the SQLite database, and files that are replaced whole."""
