"""Words and tokens of a text: by character classes, by spaCy's rules, as hashes."""
