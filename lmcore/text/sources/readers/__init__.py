"""From an open file to its documents: docstrings, lines, records and whole files."""
