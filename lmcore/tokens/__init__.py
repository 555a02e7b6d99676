"""From a clean document to a training batch."""
