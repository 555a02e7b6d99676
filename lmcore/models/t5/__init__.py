"""T5, and version 1.1 of its weights."""
