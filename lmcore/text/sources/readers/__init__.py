"""Readers, which turn a file into documents: docstrings, lines, records and whole files."""
