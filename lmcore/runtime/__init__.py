"""What every stage runs on: atomic files, the artifact cache, worker processes."""
