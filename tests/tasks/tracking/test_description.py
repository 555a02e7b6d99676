import json
from types import SimpleNamespace

import pytest

from tasks.tracking.description import describe, number
from tasks.tracking.evaluations import _copy

METRICS = {
    "test/n_tokens": 92811.0,
    "test/perplexity": 12051.7,
    "test/bits_per_byte": 1.65,
    "test/bits_per_byte_clean": 1.7331,
    "with_interval/bits_per_byte_clean_low": 1.7,
    "with_interval/bits_per_byte_clean_high": 1.8,
    "train/tokens_per_second": 12051.77,
}
TAGS = {"model.name": "language-model", "model.family": "gpt", "git.commit": "c0ffee", "dvc.stage": "pretrain"}


@pytest.mark.parametrize(
    ("value", "text"),
    [(92811.0, "92,811"), (12051.77, "12,052"), (1.65612, "1.656"), (0.00012, "0.00012"), (-3.0, "-3"), (0.5, "0.5")],
)
def test_figures_are_written_as_people_write_them(value, text):
    assert number(value) == text


def test_a_page_says_which_family_how_good_and_what_really_brings_the_model_back():
    run = SimpleNamespace(data=SimpleNamespace(metrics=METRICS, tags=TAGS), inputs=None)
    version = SimpleNamespace(name="language-model", version=3)
    text = describe(run, version, "sqlite:////a folder/o'clock.db")
    assert text.startswith("**language-model** (gpt): bits per byte clean **1.733 (1.7 to 1.8)**")
    assert "| test/n_tokens | 92,811 |" in text
    python = text.split("```python\n")[1].split("```")[0]
    compile(python, "the page", "exec")
    assert """mlflow.set_tracking_uri("sqlite:////a folder/o'clock.db")""" in python
    assert "MLFLOW_TRACKING_URI='sqlite:////a folder/o'\"'\"'clock.db'" in text
    assert "in a clone without that cache it trains again" in text


def test_files_are_logged_in_a_form_that_mlflow_shows(tmp_path):
    (tmp_path / "card.md").write_text("---\nlanguage: en\n---\n# Card\n")
    (tmp_path / "samples.json").write_text(json.dumps([{"prompt": "a\nb", "continuation": "c ``` d"}]))
    (tmp_path / "out").mkdir()
    for name in ("card.md", "samples.json"):
        _copy(tmp_path / name, tmp_path / "out")
    assert (tmp_path / "out" / "card.md").read_text() == "```yaml\nlanguage: en\n```\n# Card\n"
    assert (tmp_path / "out" / "samples.md").read_text() == (
        "#### 1\n\n**prompt**\n\n```text\na\nb\n```\n\n**continuation**\n\n````text\nc ``` d\n````\n"
    )
    assert (tmp_path / "out" / "samples.json").exists()
