"""Probes of a model: what it has memorized, what it prefers, and what disturbs it; each a number with an interval."""
