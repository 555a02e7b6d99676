"""Models that hold conversations: their training examples, and how these are encoded."""
