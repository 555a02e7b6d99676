"""How a completion model is asked: the end token, the prompt, a separator, and then its answer."""

from lmcore.config.base import Config
from lmcore.tokens.tokenizer.tokenizer import Tokenizer


class PromptFormat(Config):
    """What was agreed on in training and has to be kept to afterwards; stands in the model's ``config.json``.

    Of a longer prompt the first ``max_prompt_tokens`` are read.
    """

    separator: str
    max_prompt_tokens: int
    max_completion_tokens: int


def encode_prompt(tokenizer: Tokenizer, prompt: str, prompt_format: PromptFormat) -> list[int]:
    """The tokens after which a completion model gives its answer, and then the end token."""
    return encode_prompt_and_count(tokenizer, prompt, prompt_format)[0]


def encode_prompt_and_count(tokenizer: Tokenizer, prompt: str, prompt_format: PromptFormat) -> tuple[list[int], int]:
    """The tokens as :func:`encode_prompt` gives them, and how many the whole prompt has."""
    body = tokenizer.encode(prompt)
    kept = body[: prompt_format.max_prompt_tokens]
    return [tokenizer.vocabulary.end_of_text_id, *kept, *tokenizer.encode(prompt_format.separator)], len(body)
