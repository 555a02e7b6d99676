"""Prefect flows: one thin file per stage, and the flows around the stages."""
