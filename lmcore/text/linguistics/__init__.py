"""Linguistic annotation by spaCy: lemmas, parts of speech, entities."""
