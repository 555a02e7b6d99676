"""Words and sentences of a text, as spaCy finds them."""
