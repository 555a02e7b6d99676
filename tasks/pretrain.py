"""Trains the language model, of whatever family, from token shards."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmcore.config.training import PretrainConfig
from lmcore.models.device import pick_device
from lmcore.models.families import build_model
from lmcore.models.folder import save_language_model
from lmcore.models.model import Model
from lmcore.models.ngram.model import NgramModel
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.corpus.shards import TokenShards
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.training.loop import OnMetrics
from lmcore.training.pretraining import EVERYTHING, pretraining_batches
from tasks.context.environment import Environment
from tasks.context.prefect import task
from tasks.training import MakeRecord, TrackedTraining, by_gradient


@task
def pretrain_language_model(
    config: PretrainConfig, environment: Environment, *, tokens: Path, model_folder: Path, curves: Path
) -> None:
    """Train on the shards in ``tokens``; write the model folder, and the curves for ``dvc plots``."""
    shards = TokenShards.open(tokens)
    tokenizer = Tokenizer.load(tokens / "tokenizer.json")
    torch.manual_seed(config.seed)
    model = build_model(config.model, tokenizer.vocabulary)
    training = TrackedTraining(
        stage="pretrain",
        model="language-model",
        parameters=config.model_dump(mode="json"),
        inputs=[tokens],
        datasets=[tokens],
    )
    training.run(
        _making(model, config, shards, tokenizer, environment),
        environment,
        save=lambda folder, record: save_language_model(folder, model, tokenizer, record),
        model_folder=model_folder,
        curves=curves,
    )


def _making(
    model: Model, config: PretrainConfig, shards: TokenShards, tokenizer: Tokenizer, environment: Environment
) -> MakeRecord:
    """How a model of this family comes about, and what of the corpus it then has seen."""
    if isinstance(model, NgramModel):
        return lambda _checkpoints, log: _count(model, shards, config.seed, log)
    if not isinstance(model, TrainableModel):
        raise TypeError(f"there is no way to train a model of family {config.model.family}")
    batches = pretraining_batches(model.to(pick_device()), config, shards, tokenizer)
    train = by_gradient(
        model, batches, config.training, environment, seed=config.seed, description="Train language-model"
    )

    def make(checkpoints: Path, log: OnMetrics) -> dict[str, Any]:
        record = train(checkpoints, log)
        return record | {"drawn": batches.drawn(record["n_batches"])}

    return make


def _count(model: NgramModel, shards: TokenShards, seed: int, log: OnMetrics) -> dict[str, Any]:
    """Count the training split, and say how likely the model finds the validation split."""
    model.fit(shards.tokens("train"), shards.offsets("train"))
    validation, offsets = shards.tokens("validation"), shards.offsets("validation")
    documents = np.split(np.asarray(validation), offsets[1:-1])
    loss = -float(model.score(documents).log_probabilities.mean())
    log(1, {"validation_loss": loss})
    return {
        "n_parameters": sum(model.counted.n_ngrams),
        "n_steps": 1,
        "n_batches": 1,
        "n_epochs": 1.0,
        "n_targets": int(shards.offsets("train")[-1]),
        "n_skipped_steps": 0,
        "n_rollbacks": 0,
        "best_step": 1,
        "best_validation_loss": loss,
        "precision": "float64",
        "seed": seed,
        "history": [{"step": 1, "validation_loss": loss}],
        "drawn": {"kind": EVERYTHING},
    }
