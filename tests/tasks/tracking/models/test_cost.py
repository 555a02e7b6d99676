from pathlib import Path
from types import SimpleNamespace

from tasks import tracking
from tasks.tracking.models.cost import cost_section
from tests.tasks.tracking.tiny_models import save_tiny_model
from tests.tasks.tracking.trainings import only_run, store_of, train

CARD = "# A model\n\nText.\n"


def shown_card(environment) -> str:
    path = store_of(environment).download_artifacts(only_run(environment).info.run_id, "evaluation/model-card-x.md")
    return Path(path).read_text(encoding="utf-8")


def test_the_card_in_mlflow_ends_with_what_the_training_cost_and_the_written_one_does_not(environment):
    folder = train(environment)
    card = Path("model-card-x.md")
    card.write_text(CARD, encoding="utf-8")
    for _ in range(2):
        tracking.log_evaluation(
            environment, model="language-model", folder=folder, metrics={"bits_per_byte": 1.0}, artifacts=[card]
        )
    shown = shown_card(environment)
    assert shown.startswith(CARD)
    assert shown.count("## Cost") == 1
    assert "| Seconds from start to end | " in shown
    assert card.read_text(encoding="utf-8") == CARD


def test_of_a_model_that_was_trained_elsewhere_the_cost_is_not_known(environment):
    save_tiny_model(Path("model"), "classifier")
    card = Path("model-card-x.md")
    card.write_text(CARD, encoding="utf-8")
    tracking.log_evaluation(
        environment, model="classifier", folder=Path("model"), metrics={"accuracy": 0.5}, artifacts=[card]
    )
    assert "Not known: the training was not tracked here." in shown_card(environment)


def test_hours_and_energy_are_those_of_all_cores_and_gpus():
    powers = {"system/gpu_0_power_usage_watts": [100.0, 300.0], "system/gpu_1_power_usage_watts": [100.0]}
    client = SimpleNamespace(
        get_metric_history=lambda run_id, name: [SimpleNamespace(value=value) for value in powers[name]]
    )
    run = SimpleNamespace(
        info=SimpleNamespace(run_id="r", start_time=0, end_time=7_200_000),
        data=SimpleNamespace(
            tags={"machine.cores": "8", "gpu.count": "2", "gpu.name": "H100"},
            metrics=dict.fromkeys(powers, 0.0) | {"train/loss": 1.0},
        ),
    )
    section = cost_section(SimpleNamespace(client=client), run)
    for line in ("| Machine | H100 |", "| CPU-hours (all cores) | 16.00 |", "| GPU-hours | 4.00 |", "0.600 kWh"):
        assert line in section
