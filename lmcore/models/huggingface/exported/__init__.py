"""Code that is copied into exported folders. It needs ``transformers``, and nothing here imports it."""
