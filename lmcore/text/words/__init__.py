"""Words and tokens of a text: by characters, by spaCy's rules, as hashes."""
