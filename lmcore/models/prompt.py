"""The prompts of completion models: the start token, the rendered template, and then the model's answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmcore.config.base import Config, TruncationSide
from lmcore.errors import UserError
from lmcore.models.prompt_template import render_around, template_fields
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

Prompt = str | Mapping[str, Any]
"""The values of a template's variables by name; a string is the value of the only one."""


class PromptFormat(Config):
    """How prompts are made and encoded, in training and afterwards; part of the model's ``config.json``.

    A prompt of more than ``max_prompt_tokens`` tokens loses tokens of one field, so that a question or an instruction
    after a long text stays whole.
    """

    template: str
    """A Jinja template, see :mod:`lmcore.models.prompt_template`."""
    truncated_field: str
    """The variable whose value is shortened in a long prompt."""
    truncation_side: TruncationSide
    """Where it loses tokens, as in ``transformers``: ``right`` keeps its beginning, ``left`` its end."""
    max_prompt_tokens: int
    """Tokens of the whole prompt, without the start token before it."""
    max_completion_tokens: int

    @property
    def fields(self) -> tuple[str, ...]:
        """The variables of the template, sorted."""
        return template_fields(self.template)

    @property
    def before_completion(self) -> str:
        """A space if the template ends with a colon, as in ``Answer:``; else nothing.

        Words of a text begin with a space in the tokens of most tokenizers, so a model can copy one only with it.
        """
        return " " if self.template.endswith(":") else ""


def prompt_values(prompt: Prompt, prompt_format: PromptFormat) -> Mapping[str, Any]:
    """The values of the template's variables.

    Raises:
        UserError: if a variable has no value, or a string is given for several variables.
    """
    fields = prompt_format.fields
    if isinstance(prompt, str):
        if len(fields) != 1:
            raise UserError(
                f"the prompt of this model has the fields {', '.join(fields)}: give the value of each, not one string"
            )
        return {fields[0]: prompt}
    if missing := sorted(set(fields) - set(prompt)):
        raise UserError(f"the prompt has no value for {', '.join(missing)}; its fields are {', '.join(fields)}")
    return prompt


def encode_prompt(tokenizer: Tokenizer, prompt: Prompt, prompt_format: PromptFormat) -> list[int]:
    """The tokens that a completion model reads before it writes its answer and the end token.

    Raises:
        UserError: as :func:`prompt_values`, and if the template cannot be rendered.
    """
    return encode_prompt_and_count(tokenizer, prompt, prompt_format)[0]


def encode_prompt_and_count(tokenizer: Tokenizer, prompt: Prompt, prompt_format: PromptFormat) -> tuple[list[int], int]:
    """The tokens of :func:`encode_prompt`, and the number of tokens of the whole prompt."""
    values, field = prompt_values(prompt, prompt_format), prompt_format.truncated_field
    before, after = map(tokenizer.encode, render_around(prompt_format.template, values, field))
    body, longest = tokenizer.encode(str(values[field])), prompt_format.max_prompt_tokens
    kept = _shortened(body, longest - len(before) - len(after), prompt_format.truncation_side)
    # If the rest alone is too long, its end stays: it asks for the answer.
    prompt_tokens = [*before, *kept, *after][-longest:]
    return [tokenizer.vocabulary.start_id, *prompt_tokens], len(before) + len(body) + len(after)


def _shortened(tokens: Sequence[int], longest: int, side: TruncationSide) -> Sequence[int]:
    if longest <= 0:
        return []
    return tokens[:longest] if side == "right" else tokens[-longest:]
