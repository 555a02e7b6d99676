"""Describes a clean corpus for people: page, data card, excerpts of the ledger."""
