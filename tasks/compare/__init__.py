"""Comparisons of models: each is one tracked run with a child per model, and can be interrupted and continued."""
