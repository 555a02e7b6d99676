"""The prompts of completion models: the start token, the prompt, a separator, and then the model's answer."""

from lmcore.config.base import Config
from lmcore.tokens.tokenizer.tokenizer import Tokenizer


class PromptFormat(Config):
    """How prompts are encoded, in training and afterwards; part of the model's ``config.json``.

    Longer prompts are truncated to their first ``max_prompt_tokens`` tokens.
    """

    separator: str
    max_prompt_tokens: int
    max_completion_tokens: int


def encode_prompt(tokenizer: Tokenizer, prompt: str, prompt_format: PromptFormat) -> list[int]:
    """The tokens that a completion model reads before it writes its answer and the end token."""
    return encode_prompt_and_count(tokenizer, prompt, prompt_format)[0]


def encode_prompt_and_count(tokenizer: Tokenizer, prompt: str, prompt_format: PromptFormat) -> tuple[list[int], int]:
    """The tokens of :func:`encode_prompt`, and the number of tokens of the whole prompt."""
    body = tokenizer.encode(prompt)
    kept = body[: prompt_format.max_prompt_tokens]
    return [tokenizer.vocabulary.start_id, *kept, *tokenizer.encode(prompt_format.separator)], len(body)
