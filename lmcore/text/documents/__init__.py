"""Documents and the shards that hold them."""
