"""Trains the language model, of whatever family, on token shards, from random weights or from a model folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lmcore.config.models import max_position_embeddings_of
from lmcore.config.training import PretrainConfig
from lmcore.errors import UserError
from lmcore.models.device import pick_device
from lmcore.models.families import build_model
from lmcore.models.folder import save_language_model
from lmcore.models.generative import CountedModel
from lmcore.models.model import Model
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.corpus.shards import TokenShards
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.training.counting import count_ngrams
from lmcore.training.loop import OnMetrics
from lmcore.training.pretraining import pretraining_batches, with_objective
from lmcore.training.record import TrainingRecord
from tasks.base_models import load_base_model
from tasks.context.environment import Environment
from tasks.context.prefect import task
from tasks.context.source_lock import NamedFile
from tasks.training import Training, tracked_training

NOT_PART_OF_A_TOKENIZER = ("truncation", "padding", "version")
"""Keys of ``tokenizer.json`` that do not change which tokens a text has."""


@task
def pretrain_language_model(
    config: PretrainConfig,
    environment: Environment,
    *,
    tokens: Path,
    model_folder: Path,
    curves: Path,
    pinned: Sequence[NamedFile] = (),
    name: str = "language-model",
    on_metrics: OnMetrics | None = None,
    reuses_result: bool = True,
) -> None:
    """Train on the shards in ``tokens``; write the model folder, and the tables for ``dvc plots`` to ``curves``.

    Args:
        config: model and training.
        environment: where the work folder and the tracking store are.
        tokens: the folder of the shards and the tokenizer.
        model_folder: where the model is written.
        curves: the folder for the tables.
        pinned: the pinned contents of the folder that the training starts from.
        name: the model's purpose, which is also the name of its run.
        on_metrics: also called with all metrics.
        reuses_result: whether the result of an earlier training with the same settings, data and code is used.
    """
    shards = TokenShards.open(tokens)
    tokenizer = Tokenizer.load(tokens / "tokenizer.json")
    model, base_folder = _starting_model(config, environment, tokenizer, pinned)
    with tracked_training(
        environment,
        stage="pretrain",
        model=name,
        family=model.config.family,
        parameters=config.model_dump(mode="json"),
        inputs=[tokens, *([] if base_folder is None else [base_folder])],
        datasets=[tokens],
        model_folder=model_folder,
        curves=curves,
        base_model=base_folder,
        on_metrics=on_metrics,
        reuses_result=reuses_result,
    ) as training:
        if training is not None:
            record = _train(training, model, config, shards, tokenizer)
            training.save(record, lambda folder: save_language_model(folder, model, tokenizer, record.to_json()))


def _starting_model(
    config: PretrainConfig, environment: Environment, tokenizer: Tokenizer, pinned: Sequence[NamedFile]
) -> tuple[Model, Path | None]:
    """The model before its training, and the folder that it comes from, if any."""
    torch.manual_seed(config.seed)
    if config.model is not None:
        return build_model(config.model, tokenizer.vocabulary), None
    base = load_base_model(
        config.init_from, environment, seed=config.seed, language_model=None, finetuned=None, pinned=pinned
    )
    _check_tokenizer(config.init_from, base.folder, base.tokenizer, tokenizer)
    if not isinstance(base.model, TrainableModel):
        raise UserError(
            f"pretrain.init_from = {config.init_from!r}: a model of family {base.model.config.family} cannot be "
            "trained further"
        )
    context = max_position_embeddings_of(base.model.config)
    if context is not None and config.sequence_length > context:
        raise UserError(
            f"pretrain.sequence_length is {config.sequence_length}, but the model in {base.folder} reads at most "
            f"{context} tokens"
        )
    return with_objective(base.model, config.objective), base.folder


def _check_tokenizer(init_from: str, folder: Path, own: Tokenizer, of_tokens: Tokenizer) -> None:
    """Check that the tokens were made with the tokenizer of the model.

    Raises:
        UserError: with the setting that uses the model's tokenizer.
    """
    if _rules(own) != _rules(of_tokens):
        raise UserError(
            f"pretrain.init_from = {init_from!r}: its tokenizer is not the one that made the tokens; set "
            f"tokenize.tokenizer to {{kind: existing, path: {folder / 'tokenizer.json'}}}"
        )


def _rules(tokenizer: Tokenizer) -> dict[str, Any]:
    described = json.loads(tokenizer.to_json())
    return {key: value for key, value in described.items() if key not in NOT_PART_OF_A_TOKENIZER}


def _train(
    training: Training, model: Model, config: PretrainConfig, shards: TokenShards, tokenizer: Tokenizer
) -> TrainingRecord:
    if isinstance(model, CountedModel):
        return count_ngrams(model, shards, seed=config.seed, on_metrics=training.log_metrics)
    if not isinstance(model, TrainableModel):
        raise TypeError(f"a model of family {model.config.family} cannot be trained")
    batches = pretraining_batches(model.to(pick_device()), config, shards, tokenizer)
    record = training.train(model, batches, config.training, seed=config.seed)
    return record.model_copy(update={"drawn": batches.drawn(record.n_batches)})
