"""Formats of prompts."""

from typing import Any

from lmcore.models.prompt import PromptFormat


def prompt_format_with(
    end: str, max_prompt_tokens: int, max_completion_tokens: int = 8, **changes: Any
) -> PromptFormat:
    """A prompt that is a text and a constant end."""
    values = {
        "template": "{{ text }}" + end,
        "truncated_field": "text",
        "truncation_side": "right",
        "max_prompt_tokens": max_prompt_tokens,
        "max_completion_tokens": max_completion_tokens,
    }
    return PromptFormat.model_validate(values | changes)
