"""The wire as values: frames, codes, events, and how they become Python.  No Trio here."""
