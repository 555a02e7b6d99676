"""The code of the guide to adding a model runs: the model learns, carries its state, and generates."""

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lmcore.config.training import TrainingConfig
from lmcore.evaluation.language_models.pseudo_likelihood import PseudoLikelihoodScorer
from lmcore.generation import generate
from lmcore.models.families import FAMILIES, build_model
from lmcore.models.trainable import MaskedModel, TrainableModel
from lmcore.tokens.batches.streams import StreamBatches
from lmcore.tokens.tokenizer.vocabulary import Vocabulary
from lmcore.training.loop import train
from lmcore.training.pretraining import pretraining_batches
from tests.lmcore.generation.toy_models import settings
from tests.lmcore.models.gpt.test_gpt import VOCABULARY, draw_tokens
from tests.lmcore.models.small_models import CONFIGS
from tests.lmcore.training.trainer import BATCHES, CONFIG, STREAM

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
    assert record.best_validation_loss < metrics[0]["loss"] / 2


def test_the_model_of_the_guide_carries_its_state_and_completes_each_prompt_as_if_alone(model: Any) -> None:
    tokens, state = draw_tokens(3, 12), model.new_state(3)
    parts = [model(part, state=state) for part in tokens.split([5, 1, 6], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens))
    prompts = [[3, 4, 5], [6], [7, 8]]
    alone = [generate(model, [prompt], settings())[0] for prompt in prompts]
    assert generate(model, prompts, settings()) == alone


class Bag(MaskedModel):
    """Predicts masked tokens from the sum of all embeddings: a family that the project has never seen."""

    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.max_position_embeddings, self.feature_size = 12, 16
        self.embedding = nn.Embedding(vocabulary.size, 16)
        self.head = nn.Linear(16, vocabulary.size)

    def features(self, tokens: Tensor, is_text: Tensor) -> Tensor:
        embedded = self.embedding(tokens) * is_text.unsqueeze(2)
        return embedded + embedded.sum(dim=1, keepdim=True)

    def output_logits(self, hidden: Tensor) -> Tensor:
        return self.head(hidden)

    def forward(self, tokens: Tensor, *, is_text: Tensor | None = None) -> Tensor:
        return self.head(self.features(tokens, tokens != self.vocabulary.padding_id if is_text is None else is_text))

    def loss(self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        return cross_entropy(self(tokens).transpose(1, 2), targets, reduction="sum", label_smoothing=label_smoothing)

    def flops_per_token(self) -> float:
        return 1.0

    def feature_flops_per_token(self, length: int) -> float:
        return 1.0


def test_the_base_class_of_a_new_family_decides_its_batches_and_its_evaluation(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    model = Bag(CONFIGS["bert"], VOCABULARY)
    training = TrainingConfig.model_validate_json(json.dumps(CONFIG | {"max_steps": 60}))
    config: Any = SimpleNamespace(sequence_length=12, mask_documents=False, seed=1, training=training)
    shards: Any = SimpleNamespace(tokens=lambda _split: STREAM % 5 + 3)
    tokenizer: Any = SimpleNamespace(vocabulary=VOCABULARY)
    record = train(
        model,
        pretraining_batches(model, config, shards, tokenizer),
        training,
        seed=1,
        checkpoints=tmp_path,
        on_metrics=lambda _step, _values: None,
        description="Train",
    )
    (scores,) = PseudoLikelihoodScorer(model, batch_tokens=24).log_probabilities([np.array([3, 4, 5, 6, 7, 3, 4])])
    assert record.best_validation_loss < math.log(VOCABULARY.size)
    assert len(scores) == 7
    assert scores.mean() > -math.log(VOCABULARY.size)
