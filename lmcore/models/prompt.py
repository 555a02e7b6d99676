"""How a completion model is asked: the end token, the prompt, a separator, and then its answer."""

from lmcore.config import Config
from lmcore.tokens.tokenizer import Tokenizer


class PromptFormat(Config):
    """What was agreed on in training and has to be kept to afterwards; stands in the model's ``config.json``.

    Of a longer prompt the first ``max_prompt_tokens`` are read.
    """

    separator: str
    max_prompt_tokens: int
    max_completion_tokens: int


def encode_prompt(tokenizer: Tokenizer, prompt: str, prompt_format: PromptFormat) -> list[int]:
    """The tokens after which a completion model gives its answer, and then the end token."""
    body = tokenizer.encode(prompt)[: prompt_format.max_prompt_tokens]
    return [tokenizer.vocabulary.end_of_text_id, *body, *tokenizer.encode(prompt_format.separator)]
