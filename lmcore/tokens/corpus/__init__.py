"""The tokenized corpus: shards of token ids."""
