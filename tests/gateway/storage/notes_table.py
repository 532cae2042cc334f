"""A table to write to, and work that does."""

STEPS = ("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT UNIQUE NOT NULL)",)


def note(text):
    """Return work that writes *text* down."""
    return lambda sql: sql.execute("INSERT INTO notes (text) VALUES (?)", (text,)).lastrowid


def notes(sql):
    """Return everything written down, in order."""
    return [text for (text,) in sql.execute("SELECT text FROM notes ORDER BY id")]
