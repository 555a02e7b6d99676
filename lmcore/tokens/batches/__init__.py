"""Batches of tokens for each training objective."""
