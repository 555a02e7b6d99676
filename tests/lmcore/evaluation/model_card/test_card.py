import re
from dataclasses import replace

import pytest

from lmcore.evaluation.model_card.card import ModelCard, cell, example_call, fenced, render_model_card
from lmcore.models.folder import ModelDescription
from lmcore.models.prompt import PromptFormat
from tests.lmcore.evaluation.report.report_content import content

SOURCE = {
    "name": "books",
    "attribution": "The authors.",
    "licenses": ["CC-BY-4.0"],
    "kept": {"documents": 8, "bytes": 2_000_000},
}


def card(text: str = "text") -> ModelCard:
    report = content(text)
    return ModelCard(
        part="classifier",
        title="Classifier: GPT, 1 k parameters",
        summary="Predicts the label of a text.",
        example_call='model.predict("A text.")',
        architecture={"family": "gpt", "hidden_size": 16, "rope_theta": None},
        settings={"max_tokens": 128, "training": {"max_steps": 10}},
        training=report.trainings[0],
        curves="loss-classifier.svg",
        result=report.classifier,
        confidence=0.95,
        samples=[{"Prompt": text, "Completion": "```x```"}],
        probes=report.probes,
        data={"documents": 8, "bytes": 2_000_000, "languages": ["en"], "sources": [SOURCE]},
    )


def tables(markdown: str) -> list[list[str]]:
    """The tables of a text, each as its lines."""
    return [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)]


def test_a_card_has_every_section_and_well_formed_tables():
    markdown = render_model_card(card())
    sections = re.findall("^## (.+)$", markdown, re.MULTILINE)
    assert sections == [
        *("Results", "Use", "Samples", "Training data", "Training", "Probes", "Limits", "Hugging Face Hub"),
    ]
    found = tables(markdown)
    assert len(found) == 6
    for lines in found:
        assert set(lines[1]) <= set("|-")
        assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_metrics_have_intervals_and_differences_a_verdict_in_words():
    markdown = render_model_card(card())
    percent = "\N{NARROW NO-BREAK SPACE}%"
    assert f"| **fine-tuned GPT** | 51.0{percent} (41.0{percent} to 61.0{percent}) |" in markdown
    assert "| fine-tuned GPT | characters, linear |" in markdown
    assert "it is worse than: characters, linear. Where only this counts, use that." in markdown
    assert "| Log loss (clean) | 0.910 (0.810 to 1.010) | 0.910 (0.810 to 1.010) |" in markdown
    assert "| without its temperature |" not in markdown  # it has no accuracy of its own


def test_data_are_named_with_license_and_attribution_and_settings_in_full():
    markdown = render_model_card(card())
    assert "| books | The authors. | CC-BY-4.0 | 8 | 2.0 |" in markdown
    assert "| training.max\\_steps | 10 |" in markdown
    assert "rope" not in markdown
    assert "![Loss of the language model by step, on training and validation data](loss-classifier.svg)" in markdown


def test_results_of_a_model_that_answers_prompts_count_prompts():
    assert "On 8 clean test texts of 10 (clean: they share" in render_model_card(card())
    prompted = replace(card(), part="completion", result=content("text").completions[0].result)
    assert "On 8 clean test prompts of 10 (clean: their documents share" in render_model_card(prompted)


@pytest.mark.parametrize("text", ["a | b\nc", "<b>*bold*</b>", "`code`"])
def test_text_in_a_table_is_no_markup(text):
    shown = cell(text)
    assert not re.search(r"(?<!\\)[|<>*`]", shown)
    assert "\n" not in shown


def test_a_fence_is_longer_than_any_in_the_text():
    assert fenced("````\nx") == "`````text\n````\nx\n`````"


def test_equal_content_gives_equal_bytes_without_time_or_cost():
    markdown = render_model_card(card())
    assert markdown == render_model_card(card())
    assert "Cost" not in markdown
    assert "\n\n\n" not in markdown


def test_a_language_model_and_one_without_curves_probes_or_samples_have_a_card_too():
    report = content("text")
    other = replace(card(), part="language_model", result=report.language_model, curves=None, probes=[], samples=[])
    markdown = render_model_card(other)
    assert "## Probes" not in markdown
    assert "![" not in markdown
    assert 'lmcore.load("models/language-model")' in markdown
    assert "| GPT + 5-gram | GPT |" in markdown


def test_the_example_gives_every_field_of_a_prompt():
    nothing = dict.fromkeys(ModelDescription.model_fields)
    completion = {
        "truncated_field": "context",
        "truncation_side": "right",
        "max_prompt_tokens": 8,
        "max_completion_tokens": 4,
    }
    calls = [
        example_call(ModelDescription.model_construct(**nothing | {"kind": kind, "prompt_format": found}))
        for kind, found in (
            ("classifier", None),
            ("chat", None),
            ("language_model", None),
            ("completion", PromptFormat(template="{{ context }}: ", **completion)),
            ("completion", PromptFormat(template="{{ context }} Q: {{ question }}", **completion)),
        )
    ]
    assert calls == [
        'model.predict("A text.")',
        'model.chat([{"role": "user", "content": "Hello!"}])',
        'model.generate("A prompt")',
        'model.generate("A prompt")',
        'model.generate({"context": "...", "question": "..."})',
    ]
