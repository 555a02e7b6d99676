"""Prompt templates: Jinja templates whose variables are fields of a document.

A template runs in a sandbox, and a value is put into the prompt as it is: a value that looks like a template is never
rendered itself. A variable without a value is an error.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lmcore.errors import UserError

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True, autoescape=False
)
"""White space as in the chat templates of ``transformers``: a line of a block leaves no empty line."""


def read_prompt(path: Path) -> str:
    """The template in a file, which ends as the prompt ends: with a line break, if the file does.

    Raises:
        UserError: if there is no such file, or it is not UTF-8 text.
    """
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the prompt file {path} cannot be read: {error}") from None


def template_fields(template: str) -> tuple[str, ...]:
    """The variables of a template, sorted.

    Raises:
        UserError: if the template is not valid.
    """
    return _fields(template)


def render_template(template: str, values: Mapping[str, Any]) -> str:
    """The prompt for these values of the template's variables.

    Raises:
        UserError: if the template is not valid, a variable has no value, or it does what the sandbox forbids.
    """
    try:
        return _compiled(template).render(values)
    except (TemplateError, TypeError) as error:
        raise UserError(f"the prompt template {_shortened(template)} cannot be rendered: {error}") from None


def render_around(template: str, values: Mapping[str, Any], field: str) -> tuple[str, str]:
    """The prompt before and after the value of ``field``, which :func:`check_field` has to accept.

    Raises:
        UserError: as :func:`render_template`.
    """
    others = {name: value for name, value in values.items() if name != field}
    number, marker = 0, "\0"
    while marker in template or any(marker in str(value) for value in others.values()):
        number, marker = number + 1, f"\0{number}\0"
    before, _, after = render_template(template, others | {field: marker}).partition(marker)
    return before, after


def check_field(template: str, field: str) -> None:
    """Check that a template has ``{{ field }}`` exactly once, so that it can be shortened within the prompt.

    Raises:
        UserError: if it does not, or the template is not valid.
    """
    tree = _parsed(template)
    named = [node for node in tree.find_all(nodes.Name) if node.name == field]
    shown = [child for output in tree.find_all(nodes.Output) for child in output.nodes if child in named]
    in_loops = [node for loop in tree.find_all(nodes.For) for node in loop.find_all(nodes.Name) if node in named]
    if not len(named) == len(shown) == 1 or in_loops:
        raise UserError(
            f"the prompt template {_shortened(template)} uses {field!r} {len(named)} times, but the field that is "
            f"shortened in a long prompt must occur once, as {{{{ {field} }}}}, outside of loops and filters"
        )


@lru_cache(maxsize=64)
def _fields(template: str) -> tuple[str, ...]:
    return tuple(sorted(meta.find_undeclared_variables(_parsed(template))))


@lru_cache(maxsize=64)
def _compiled(template: str) -> Template:
    return _ENVIRONMENT.from_string(template)


def _parsed(template: str) -> nodes.Template:
    try:
        return _ENVIRONMENT.parse(template)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        place = "" if line is None else f", line {line}"
        raise UserError(f"the prompt template {_shortened(template)} is not valid{place}: {error}") from None


def _shortened(template: str) -> str:
    return repr(template if len(template) <= 60 else f"{template[:59]}…")
