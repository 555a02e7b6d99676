"""Model families, their layers, and the model folder."""
