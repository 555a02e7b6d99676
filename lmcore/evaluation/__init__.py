"""Evaluation of models on held-out documents: metrics with confidence intervals, baselines and a report."""
