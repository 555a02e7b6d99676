"""Describes a clean corpus for human readers: page, data card, excerpts of the ledger."""
