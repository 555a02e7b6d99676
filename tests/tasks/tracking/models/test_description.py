from types import SimpleNamespace

import pytest

from tasks.tracking.models.description import describe, format_number

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
def test_numbers_are_formatted_for_people(value, text):
    assert format_number(value) == text


def test_a_description_has_the_family_the_metrics_and_the_commands_that_restore_the_model():
    run = SimpleNamespace(data=SimpleNamespace(metrics=METRICS, tags=TAGS), inputs=None)
    version = SimpleNamespace(name="language-model", version=3)
    text = describe(run, version, "sqlite:////a folder/o'clock.db")
    assert text.startswith("**language-model** (gpt): bits per byte clean **1.733 (1.7 to 1.8)**")
    assert "| test/n_tokens | 92,811 |" in text
    python = text.split("```python\n")[1].split("```")[0]
    compile(python, "description", "exec")
    assert """mlflow.set_tracking_uri("sqlite:////a folder/o'clock.db")""" in python
    assert "MLFLOW_TRACKING_URI='sqlite:////a folder/o'\"'\"'clock.db'" in text
    assert "in a clone without that cache it trains again" in text
