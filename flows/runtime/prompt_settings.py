"""Settings of prompts: files of the last release have a separator where this one has a template in a file."""

from ruamel.yaml.nodes import MappingNode

from flows.runtime.yaml_text import apply_edits, compose, find_key
from lmcore.errors import UserError

COMPLETION = ("finetune", "completion")
TEMPLATES = {"\n\nSummary:\n": "prompts/completion/summary.jinja", "\n": "prompts/completion/plain.jinja"}
"""The template that puts a separator of the last release's own files after the text."""


def with_templates(text: str) -> tuple[str, list[str]]:
    """The text of a parameter file or recipe with a template instead of a separator, and what was changed.

    Raises:
        UserError: if no template of this project has the separator.
    """
    root, edits, changes = compose(text), set(), []
    found = find_key(root, (*COMPLETION, "separator"))
    if found is not None:
        key, value = found
        if (template := TEMPLATES.get(value.value)) is None:
            raise UserError(
                f"finetune.completion.separator is {value.value!r}: prompts are templates now. Write `{{{{ text }}}}` "
                "and the separator into a file in prompts/completion, and name it in finetune.completion.prompt "
                "instead of the separator"
            )
        edits |= {(key.start_mark.index, value.end_mark.index, f"prompt: {template}")}
        changes.append(f"finetune.completion.separator -> prompt: {template}")
    kind = find_key(root, (*COMPLETION, "examples", "kind"))
    examples = find_key(root, (*COMPLETION, "examples"))
    if kind is not None and examples is not None and kind[1].value == "target":
        if isinstance(examples[1], MappingNode) and find_key(root, (*COMPLETION, "examples", "question_separator")):
            return apply_edits(text, edits), changes
        start = kind[0].start_mark
        separator = ", " if examples[1].flow_style else "\n" + " " * start.column
        edits |= {(start.index, start.index, f"question_separator: null{separator}")}
        changes.append("finetune.completion.examples.question_separator: null is new")
    return apply_edits(text, edits), changes
