"""Trains the language model, of whatever family, on token shards."""

from pathlib import Path

import torch

from lmcore.config.training import PretrainConfig
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
from lmcore.training.pretraining import pretraining_batches
from lmcore.training.record import TrainingRecord
from tasks.context.environment import Environment
from tasks.context.prefect import task
from tasks.training import Training, tracked_training


@task
def pretrain_language_model(
    config: PretrainConfig,
    environment: Environment,
    *,
    tokens: Path,
    model_folder: Path,
    curves: Path,
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
        name: the model's purpose, which is also the name of its run.
        on_metrics: also called with all metrics.
        reuses_result: whether the result of an earlier training with the same settings, data and code is used.
    """
    shards = TokenShards.open(tokens)
    tokenizer = Tokenizer.load(tokens / "tokenizer.json")
    torch.manual_seed(config.seed)
    model = build_model(config.model, tokenizer.vocabulary)
    with tracked_training(
        environment,
        stage="pretrain",
        model=name,
        parameters=config.model_dump(mode="json"),
        inputs=[tokens],
        datasets=[tokens],
        model_folder=model_folder,
        curves=curves,
        on_metrics=on_metrics,
        reuses_result=reuses_result,
    ) as training:
        if training is not None:
            record = _train(training, model, config, shards, tokenizer)
            training.save(record, lambda folder: save_language_model(folder, model, tokenizer, record.to_json()))


def _train(
    training: Training, model: Model, config: PretrainConfig, shards: TokenShards, tokenizer: Tokenizer
) -> TrainingRecord:
    if isinstance(model, CountedModel):
        return count_ngrams(model, shards, seed=config.seed, on_metrics=training.log_metrics)
    if not isinstance(model, TrainableModel):
        raise TypeError(f"a model of family {config.model.family} cannot be trained")
    batches = pretraining_batches(model.to(pick_device()), config, shards, tokenizer)
    record = training.train(model, batches, config.training, seed=config.seed)
    return record.model_copy(update={"drawn": batches.drawn(record.n_batches)})
