"""Llama, and the decoders that are variations of it: Mistral, Qwen2, Qwen3."""
