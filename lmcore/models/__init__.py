"""Bricks, model families and the self-describing model folder."""
