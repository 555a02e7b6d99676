"""GPT with rotary positions and the improvements of recent years."""
