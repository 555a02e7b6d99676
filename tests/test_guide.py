"""The code of the guide to adding a model runs: the model learns, carries its state, and generates."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from lmcore.config.training import TrainingConfig
from lmcore.generation import generate
from lmcore.models.families import FAMILIES, build_model
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.batches.streams import StreamBatches
from lmcore.training.loop import train
from tests.lmcore.generation.toy_models import settings
from tests.lmcore.models.gpt.test_gpt import VOCABULARY, draw_tokens
from tests.lmcore.training.trainer import BATCHES, CONFIG

GUIDE = Path(__file__).parents[1] / "docs" / "adding-a-model.md"


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> TrainableModel:
    code = "\n".join(re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL))
    names: dict[str, Any] = {"__name__": "guide"}
    monkeypatch.setattr("lmcore.models.families.FAMILIES", dict(FAMILIES))
    exec(compile(code, str(GUIDE), "exec"), names)
    torch.manual_seed(0)
    made = build_model(names["DecayConfig"](family="decay", hidden_size=32, decay=0.3), VOCABULARY)
    assert isinstance(made, TrainableModel)
    return made


def test_the_model_of_the_guide_learns(model: TrainableModel, tmp_path: Path) -> None:
    config = TrainingConfig.model_validate_json(json.dumps(CONFIG | {"max_steps": 60}))
    metrics: list[dict[str, float]] = []
    record = train(
        model,
        StreamBatches(**BATCHES),
        config,
        seed=1,
        checkpoints=tmp_path,
        on_metrics=lambda _step, values: metrics.append(dict(values)),
        description="Train",
    )
    assert record["best_validation_loss"] < metrics[0]["loss"] / 2


def test_the_model_of_the_guide_carries_its_state_and_completes_each_prompt_as_if_alone(model: Any) -> None:
    tokens, state = draw_tokens(3, 12), model.new_state(3)
    parts = [model(part, state=state) for part in tokens.split([5, 1, 6], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens))
    prompts = [[3, 4, 5], [6], [7, 8]]
    alone = [generate(model, [prompt], settings())[0] for prompt in prompts]
    assert generate(model, prompts, settings()) == alone
