"""Answers of a language model to prompts, with and without examples in them."""
