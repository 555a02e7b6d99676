"""Layers of Transformers."""
