"""Templates are rendered in a sandbox, values as they are, and errors say what is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.errors import UserError
from lmcore.models.prompt_template import (
    check_field,
    read_prompt,
    render_around,
    render_template,
    template_fields,
)

PROMPTS = Path(__file__).parents[3] / "prompts"


@given(value=st.text(), other=st.text())
def test_a_value_stays_as_it_is_whatever_it_looks_like(value: str, other: str) -> None:
    template = "<{{ a }}|{{ b }}>"
    assert render_template(template, {"a": value, "b": other}) == f"<{value}|{other}>"
    assert render_around(template, {"a": value, "b": other}, "a") == ("<", f"|{other}>")
    assert render_around(template, {"a": value, "b": other}, "b") == (f"<{value}|", ">")


@pytest.mark.parametrize("value", ["{{ 7 * 7 }}", "{% for x in [1] %}x{% endfor %}", "\0", "\x000\0", "<&'\">"])
def test_a_document_cannot_inject_a_template(value: str) -> None:
    assert render_template("{{ text }}!", {"text": value}) == f"{value}!"
    assert render_around("{{ text }} {{ question }}", {"text": "", "question": value}, "text") == ("", f" {value}")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ text", "cannot be rendered"),
        ("{{ missing }}", "cannot be rendered: 'missing' is undefined"),
        ("{{ text.__class__.__mro__ }}", "cannot be rendered: .*unsafe"),
        ("{{ items.append(1) }}", "cannot be rendered: .*unsafe"),
        ("{% include 'secrets' %}", "cannot be rendered"),
    ],
)
def test_what_a_template_must_not_do_is_refused(template: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        render_template(template, {"text": "a", "items": [0]})


@pytest.mark.parametrize(
    "template",
    [
        "no field",
        "{{ a }}{{ a }}",
        "{{ a | trim }}",
        "{% for x in b %}{{ a }}{% endfor %}",
        "{% if a %}{{ a }}{% endif %}",
    ],
)
def test_a_field_that_is_shortened_has_to_be_there_once_and_unchanged(template: str) -> None:
    check_field("{{ b }}{{ a }}", "a")
    with pytest.raises(UserError, match="is not valid, line 1"):
        template_fields("{{ a")
    with pytest.raises(UserError, match="must occur once"):
        check_field(template, "a")


def test_a_prompt_file_is_read_with_its_last_line_break(tmp_path: Path) -> None:
    (tmp_path / "a.jinja").write_bytes("{{ text }}\n→\n".encode())
    assert render_template(read_prompt(tmp_path / "a.jinja"), {"text": "b"}) == "b\n→\n"
    with pytest.raises(UserError, match=r"missing\.jinja cannot be read"):
        read_prompt(tmp_path / "missing.jinja")


@pytest.mark.parametrize("path", sorted(PROMPTS.rglob("*.jinja")), ids=lambda path: path.name)
def test_every_prompt_of_the_project_is_valid(path: Path) -> None:
    assert template_fields(read_prompt(path))
