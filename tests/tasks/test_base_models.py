"""What ``init_from`` names: a model of the pipeline, a folder, a registered model."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lmcore.errors import UserError
from lmcore.models.folder import load_language_model
from tasks.base_models import base_model_folder, load_base_model
from tasks.context.environment import Environment
from tasks.context.source_lock import NamedFile
from tests.tasks.evaluate.evaluated_project import write_documents, write_models


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_models(tmp_path, write_documents(tmp_path / "clean"))
    return tmp_path


def folders(project: Path) -> dict[str, Any]:
    return {"language_model": project / "language-model", "finetuned": project / "finetuned", "pinned": ()}


def test_the_name_of_a_model_is_its_folder(project: Path) -> None:
    environment = Environment(work_folder=project / "work")
    for init_from, folder in (
        ("language_model", "language-model"),
        ("scratch", "language-model"),
        ("completion", "finetuned/completion"),
        (str(project / "language-model"), "language-model"),
    ):
        assert base_model_folder(init_from, environment, **folders(project)) == project / folder
    copy = environment.work_folder / "base-models" / "0"
    with pytest.raises(UserError, match=r"models:/base@best is not pinned: run `python -m flows\.refresh`"):
        base_model_folder("models:/base@best", environment, **folders(project))
    assert not copy.exists()


def test_a_registered_model_is_the_pinned_copy(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Environment(work_folder=project / "work")
    pinned = NamedFile("pretrain.init_from", "models:/base@best", "0" * 64, "1")
    monkeypatch.setattr("tasks.base_models.registered_model_folder", lambda _, entry: project / entry.content)
    found = base_model_folder("models:/base@best", environment, **folders(project) | {"pinned": [pinned]})
    assert found == project / pinned.content


def test_from_scratch_has_the_shape_of_the_language_model_and_weights_of_the_seed(project: Path) -> None:
    environment = Environment(work_folder=project / "work")
    model, _ = load_language_model(project / "language-model")

    def load(init_from: str, seed: int) -> dict[str, torch.Tensor]:
        base = load_base_model(init_from, environment, seed=seed, **folders(project))
        assert base.model.config == model.config
        return base.model.state_dict()

    def differ(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
        return any(not torch.equal(weight, second[name]) for name, weight in first.items())

    assert not differ(load("language_model", 1), model.state_dict())
    assert not differ(load("scratch", 1), load("scratch", 1))
    assert differ(load("scratch", 1), load("scratch", 2))
