"""Classifiers: labeled documents, their encoding, and the model."""
