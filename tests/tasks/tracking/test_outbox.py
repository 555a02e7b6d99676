import json
from pathlib import Path

from tasks import tracking
from tasks.tracking.outbox import copy_artifact
from tests.tasks.tracking.tiny_models import save_tiny_model
from tests.tasks.tracking.trainings import artifacts, curve, only_run, runs, store_of, train

GROUPS = ("test/", "versus/", "with_interval/")


def test_an_evaluation_is_added_to_the_run_of_its_model_once(environment):
    train(environment, seed=1)
    folder = train(environment, seed=2)
    report = Path("report.html")
    report.write_text("<html>")
    metrics = {
        "bits_per_byte": {"value": 1.5, "low": 1.4, "high": 1.6},
        "name": "gpt",
        "likelihood": {"perplexity": 30},
    }
    for _ in range(2):
        tracking.log_evaluation(environment, model="language-model", folder=folder, metrics=metrics, artifacts=[report])
    other, run = runs(environment)
    assert not any(name.startswith(GROUPS) for name in other.data.metrics)
    tested = {name: value for name, value in run.data.metrics.items() if name.startswith(GROUPS)}
    assert tested == {
        "test/bits_per_byte": 1.5,
        "with_interval/bits_per_byte_low": 1.4,
        "with_interval/bits_per_byte_high": 1.6,
        "versus/likelihood_perplexity": 30,
    }
    assert curve(environment, run, "test/bits_per_byte") == [(0, 1.5)]
    assert "1.5 (1.4 to 1.6)" in run.data.tags["mlflow.note.content"]
    assert artifacts(environment, run, "evaluation") == {"evaluation/report.html"}


def test_a_model_that_the_store_does_not_know_gets_a_run_with_its_metrics(environment):
    save_tiny_model(Path("model"), "classifier")
    tracking.log_evaluation(
        environment, model="classifier", folder=Path("model"), metrics={"accuracy": 0.5}, artifacts=[]
    )
    run = only_run(environment)
    assert run.info.status == "FINISHED"
    assert curve(environment, run, "train/loss") == [(2, 3.0), (4, 2.0)]
    assert run.data.params["model.hidden_size"] == "16"
    assert run.data.metrics["test/accuracy"] == 0.5
    assert store_of(environment).get_model_version("classifier", "1").run_id == run.info.run_id


def test_artifacts_are_logged_in_a_form_that_the_ui_shows(tmp_path):
    (tmp_path / "card.md").write_text("---\nlanguage: en\n---\n# Card\n")
    (tmp_path / "samples.json").write_text(json.dumps([{"prompt": "a\nb", "continuation": "c ``` d"}]))
    (tmp_path / "out").mkdir()
    for name in ("card.md", "samples.json"):
        copy_artifact(tmp_path / name, tmp_path / "out")
    assert (tmp_path / "out" / "card.md").read_text() == "```yaml\nlanguage: en\n```\n# Card\n"
    assert (tmp_path / "out" / "samples.md").read_text() == (
        "#### 1\n\n**prompt**\n\n```text\na\nb\n```\n\n**continuation**\n\n````text\nc ``` d\n````\n"
    )
    assert (tmp_path / "out" / "samples.json").exists()
