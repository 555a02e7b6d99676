"""From a source to a clean document."""
