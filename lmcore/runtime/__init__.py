"""Atomic files, damaged files, the artifact cache and worker processes."""
