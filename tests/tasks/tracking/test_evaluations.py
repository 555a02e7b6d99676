from pathlib import Path

from tiny_models import save_tiny_model
from trainings import artifacts, curve, only_run, runs, store_of, train

from tasks import tracking

GROUPS = ("test/", "versus/", "with_interval/")


def test_an_evaluation_goes_to_the_row_of_the_model_once(environment):
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


def test_a_model_that_the_store_has_never_seen_gets_a_run_with_its_curves(environment):
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
