"""Training without gradients: an n-gram model counts the training split."""

import numpy as np

from lmcore.models.generative import CountedModel
from lmcore.tokens.corpus.shards import TokenShards
from lmcore.training.loop import OnMetrics
from lmcore.training.pretraining import EVERYTHING
from lmcore.training.record import TrainingRecord


def count_ngrams(model: CountedModel, shards: TokenShards, *, seed: int, on_metrics: OnMetrics) -> TrainingRecord:
    """Fit ``model`` in place to the training split and score the validation split.

    Args:
        model: the model to fit.
        shards: the tokens of both splits.
        seed: recorded only; counting draws nothing.
        on_metrics: called once, with the ``validation_loss`` in nats per token.

    Returns:
        the record of a training with one step.
    """
    model.fit(shards.tokens("train"), shards.offsets("train"))
    validation, offsets = shards.tokens("validation"), shards.offsets("validation")
    documents = np.split(np.asarray(validation), offsets[1:-1])
    loss = -float(model.score_documents(documents).log_probabilities.mean())
    on_metrics(1, {"validation_loss": loss})
    return TrainingRecord(
        n_parameters=model.n_entries,
        n_steps=1,
        n_batches=1,
        n_epochs=1.0,
        n_targets=int(shards.offsets("train")[-1]),
        n_skipped_steps=0,
        n_rollbacks=0,
        best_step=1,
        best_validation_loss=loss,
        precision="float64",
        seed=seed,
        history=[{"step": 1, "validation_loss": loss}],
        drawn={"kind": EVERYTHING},
    )
