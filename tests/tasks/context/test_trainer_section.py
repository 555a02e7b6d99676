"""Every training has the settings of ``trainer`` that it does not set itself."""

from typing import Any

from tasks.context.trainer_section import with_trainer, written_at

SHARED = {"precision": "native", "ema_decay": 0.9, "optimizer": {"name": "muon", "adamw": {"beta1": 0.9}}}


def sections(training: dict[str, Any]) -> dict[str, Any]:
    finetune = {"classification": {"training": {"precision": "float32"}}, "completion": None}
    return {"trainer": SHARED, "pretrain": {"seed": 1, "training": training}, "finetune": finetune}


def test_a_training_has_what_it_does_not_set_from_trainer_at_every_depth() -> None:
    training = {"ema_decay": None, "optimizer": {"learning_rate": 0.1, "adamw": {"beta2": 0.95}}}
    merged = with_trainer(sections(training))
    optimizer = {"name": "muon", "learning_rate": 0.1, "adamw": {"beta1": 0.9, "beta2": 0.95}}
    assert merged["pretrain"] == {
        "seed": 1,
        "training": {"precision": "native", "ema_decay": None, "optimizer": optimizer},
    }
    assert merged["finetune"]["classification"]["training"] == SHARED | {"precision": "float32"}
    assert merged["finetune"]["completion"] is None
    assert "trainer" not in merged


def test_an_optimizer_of_another_kind_replaces_the_shared_one_and_one_of_the_same_kind_does_not() -> None:
    other = {"name": "adamw", "learning_rate": 0.1}
    assert with_trainer(sections({"optimizer": other}))["pretrain"]["training"]["optimizer"] == other
    same = {"name": "muon", "learning_rate": 0.1}
    merged = with_trainer(sections({"optimizer": same}))["pretrain"]["training"]["optimizer"]
    assert merged == same | {"adamw": {"beta1": 0.9}}


def test_the_place_of_a_setting_is_where_it_is_written_or_should_be() -> None:
    written = sections({"precision": "float32", "max_steps": 1})
    assert written_at(("pretrain", "training", "precision"), written) == ("pretrain", "training", "precision")
    assert written_at(("pretrain", "training", "ema_decay"), written) == ("trainer", "ema_decay")
    assert written_at(("finetune", "classification", "training", "max_steps"), written)[0] == "finetune"
    assert written_at(("pretrain", "training", "torch_compile"), written) == ("trainer", "torch_compile")
    assert written_at(("pretrain", "seed"), written) == ("pretrain", "seed")
