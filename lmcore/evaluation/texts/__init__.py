"""Metrics of generated texts: overlap with their references, answers to questions, and style."""
