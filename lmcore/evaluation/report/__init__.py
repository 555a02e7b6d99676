"""The HTML report: what a model is worth, and its plots."""
