"""Models that answer prompts: pairs of prompt and completion, and their encoding."""
