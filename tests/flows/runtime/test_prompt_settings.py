import pytest
from ruamel.yaml import YAML

from flows.runtime.prompt_settings import TEMPLATES, with_templates
from lmcore.errors import UserError
from lmcore.models.prompt_template import read_prompt, render_template
from tests.sample_project import PROJECT

BEFORE = 'finetune:\n  completion:\n    examples: {kind: target}  # why\n    separator: "\\n"\n    lora: null\n'


def test_a_separator_becomes_the_template_that_has_it() -> None:
    text, changes = with_templates(BEFORE)
    completion = YAML(typ="safe").load(text)["finetune"]["completion"]
    assert completion["prompt"] == "prompts/completion/plain.jinja"
    assert completion["examples"] == {"kind": "target", "question_separator": None}
    assert "# why" in text
    assert len(changes) == 2
    assert with_templates(text) == (text, [])


@pytest.mark.parametrize(("separator", "template"), TEMPLATES.items())
def test_each_template_puts_its_separator_after_the_text(separator: str, template: str) -> None:
    assert render_template(read_prompt(PROJECT / template), {"text": "a"}) == f"a{separator}"


def test_a_separator_without_a_template_is_an_error_that_says_what_to_write() -> None:
    with pytest.raises(UserError, match=r"separator is ' => ': .*Write `\{\{ text \}\}` and the separator"):
        with_templates(BEFORE.replace('"\\n"', '" => "'))


def test_files_without_a_completion_model_stay() -> None:
    for text in ("collect: 1\n", "finetune:\n  completion: null\n"):
        assert with_templates(text) == (text, [])
