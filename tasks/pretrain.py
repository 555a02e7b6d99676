"""Trains the language model from token shards."""

from pathlib import Path

import torch

from lmcore.device import pick_device
from lmcore.models.families import build_model
from lmcore.models.folder import save_language_model
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.shards import TokenShards
from lmcore.tokens.tokenizer import Tokenizer
from lmcore.training.config import PretrainConfig
from lmcore.training.pretraining import pretraining_batches
from tasks.environment import Environment
from tasks.step import step
from tasks.training import TrackedTraining


@step()
def pretrain_language_model(
    config: PretrainConfig, environment: Environment, *, tokens: Path, model_folder: Path, curves: Path
) -> None:
    """Train on the shards in ``tokens``; write the model folder, and the curves for ``dvc plots``."""
    shards = TokenShards.open(tokens)
    tokenizer = Tokenizer.load(tokens / "tokenizer.json")
    torch.manual_seed(config.seed)
    model = build_model(config.model, tokenizer.vocabulary).to(pick_device())
    if not isinstance(model, TrainableModel):
        raise TypeError(f"a model of family {config.model.family} is not trained by gradients")
    batches = pretraining_batches(model, config, shards)
    training = TrackedTraining(
        stage="pretrain",
        model="language-model",
        parameters=config.model_dump(mode="json"),
        inputs=[tokens],
        datasets=[tokens],
    )
    training.run(
        model,
        batches,
        config.training,
        environment,
        seed=config.seed,
        save=lambda record: save_language_model(
            model_folder, model, tokenizer, record | {"drawn": batches.drawn(record["n_steps"])}
        ),
        model_folder=model_folder,
        curves=curves,
    )
