"""From a model and held-out documents to numbers and pictures."""
