"""Chat templates: how the messages of a conversation become tokens.

A template is a Jinja file as in ``transformers`` (https://huggingface.co/docs/transformers/chat_templating), stored
with the model as ``chat_template.jinja``. It runs in a sandbox, because it may come from somebody else. The special
tokens that a template writes become the ids of these tokens; the same characters in a message stay ordinary text, so
that nobody can write a turn for somebody else.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lmcore.errors import UserError
from lmcore.runtime.files import write_json
from lmcore.text.documents.messages import Message
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

FILE_NAME = "chat_template.jinja"

DEFAULT_TEMPLATE = """\
{{- eos_token }}
{%- for message in messages %}
    {{- message.role + '\\n' }}
    {%- if message.role == 'assistant' %}
        {%- generation %}{{ message.content + eos_token }}{% endgeneration %}
    {%- else %}
        {{- message.content + eos_token }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'assistant\\n' }}
{%- endif %}
"""
"""Every message is its role on a line, its content and the end token, which every tokenizer has: like ChatML, but
without tokens that a pretrained model has never seen. Only an end token makes the next line a role."""

PRIVATE_USE = range(0xE000, 0xF900)
"""Characters that Unicode assigns no meaning; one that occurs nowhere marks special tokens that users have written."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Tokens of a conversation: an answer of the assistant, or what precedes it.

    Attributes:
        tokens: the token ids.
        is_answer: whether the assistant writes them; an answer ends with the token that ends a turn.
    """

    tokens: list[int]
    is_answer: bool


class ChatTemplate:
    """Renders conversations as the tokens that a model reads and writes.

    Args:
        source: the Jinja template.
        tokenizer: the model's tokenizer.

    Attributes:
        source: the template.

    Raises:
        UserError: if the template is not valid Jinja.
    """

    def __init__(self, source: str, tokenizer: Tokenizer) -> None:
        self.source = source
        self._tokenizer = tokenizer
        self._special = tokenizer.special_tokens
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateError as error:
            raise UserError(f"the chat template is not valid Jinja: {error}") from None

    @cached_property
    def end_of_turn_id(self) -> int:
        """The token that ends an answer.

        Raises:
            UserError: no special token does.
        """
        *_, answer = self.turns([Message("user", "Hello"), Message("assistant", "Hi")])
        return answer.tokens[-1]

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """The tokens of a conversation before the assistant's next message."""
        mark = _unused_character(messages, self.source)
        return self._encode(self._render(messages, mark, is_prompt=True), mark)

    def turns(self, messages: Sequence[Message]) -> list[Turn]:
        """The tokens of a conversation up to its last answer, alternating between context and answer.

        An answer is encoded separately from what precedes it, just as it is generated.

        Raises:
            UserError: if the template writes earlier messages differently once more follow, or ends answers without a
                special token.
        """
        mark = _unused_character(messages, self.source)
        turns, done = [], ""
        for index, message in enumerate(messages):
            if message.role != "assistant":
                continue
            before = self._render(messages[:index], mark, is_prompt=True)
            after = self._render(messages[: index + 1], mark, is_prompt=False)
            if not before.startswith(done) or not after.startswith(before):
                raise UserError(
                    "the chat template changes earlier messages when others follow, so that the model would not be "
                    "trained on what it reads later: use a template that only appends"
                )
            turns.append(Turn(self._encode(before[len(done) :], mark), is_answer=False))
            end = self._end_of_turn(after[len(before) :])
            done = after[: len(before) + end]
            turns.append(Turn(self._encode(done[len(before) :], mark), is_answer=True))
        return turns

    def _render(self, messages: Sequence[Message], mark: str, *, is_prompt: bool) -> str:
        """The template's text; special tokens that messages name have the character ``mark`` in them."""
        conversation = []
        for role, content in messages:
            for name in self._special:
                content = content.replace(name, name[0] + mark + name[1:])
            conversation.append({"role": role, "content": content})
        names = {"eos_token": self._tokenizer.name_of(self._tokenizer.vocabulary.end_of_text_id)}
        try:
            return self._template.render(messages=conversation, add_generation_prompt=is_prompt, bos_token="", **names)
        except jinja2.TemplateError as error:
            raise UserError(f"the chat template cannot render a conversation: {error}") from None

    def _encode(self, text: str, mark: str) -> list[int]:
        tokens: list[int] = []
        for part, special in self._parts(text):
            tokens += self._tokenizer.encode(part.replace(mark, "")) if part else []
            tokens += [] if special is None else [self._special[special]]
        return tokens

    def _parts(self, text: str) -> Iterator[tuple[str, str | None]]:
        """Yield the texts between special tokens, each with the name of the special token that follows it."""
        start = 0
        while start < len(text):
            found = [(at, -len(name), name) for name in self._special if (at := text.find(name, start)) >= 0]
            if not found:
                yield text[start:], None
                return
            at, _, name = min(found)
            yield text[start:at], name
            start = at + len(name)

    def _end_of_turn(self, answer: str) -> int:
        """The end of the last special token in the text of an answer."""
        ends = [answer.rfind(name) + len(name) for name in self._special if name in answer]
        if not ends:
            raise UserError(
                "the chat template does not end answers with a special token, so a model cannot learn where to stop: "
                f"write one after the assistant's content, such as {{{{ eos_token }}}}; there are "
                f"{', '.join(self._special)}"
            )
        return max(ends)


def read_template(folder: Path) -> str | None:
    """The chat template in a model folder of this library or of ``transformers``; None if it has none."""
    if (path := folder / FILE_NAME).exists():
        return path.read_text(encoding="utf-8")
    settings = folder / "tokenizer_config.json"
    found = json.loads(settings.read_text(encoding="utf-8")).get("chat_template") if settings.exists() else None
    return found if isinstance(found, str) else None


def export_template(folder: Path, source: str) -> None:
    """Give a folder for ``transformers`` a chat template, whose special tokens its tokenizer then recognizes."""
    settings = folder / "tokenizer_config.json"
    described = json.loads(settings.read_text(encoding="utf-8"))
    # apply_chat_template encodes the rendered text, in which the names of special tokens have to be these tokens.
    write_json(settings, described | {"chat_template": source, "split_special_tokens": False})


class _Generation(Extension):
    """The block ``{% generation %}``, which marks what the assistant writes for ``transformers``; here, its content."""

    tags = {"generation"}  # noqa: RUF012 (declared so by Jinja)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The statements of the block itself."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    # The settings of transformers, so that a template means the same.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    environment.globals["raise_exception"] = _raise
    return environment


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _unused_character(messages: Sequence[Message], source: str) -> str:
    used = set(source).union(*(content for _, content in messages))
    return next(character for character in map(chr, PRIVATE_USE) if character not in used)
