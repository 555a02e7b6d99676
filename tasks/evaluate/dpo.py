"""Compares the model that was trained on preferences with its base model on test pairs."""

from pathlib import Path
from typing import Any

import torch

from lmcore.config.dpo import DPOTrainingConfig
from lmcore.config.evaluate import EvaluateConfig
from lmcore.evaluation.intervals import Floats
from lmcore.evaluation.names import BASE, MODEL
from lmcore.evaluation.preferences import evaluate_preferences
from lmcore.evaluation.result import EvaluationResult
from lmcore.finetuning.chat.examples import Conversation
from lmcore.finetuning.chat.preparation import chat_template_of
from lmcore.finetuning.dpo.pairs import EncodedPairs, encode_pairs, pair_log_probabilities
from lmcore.finetuning.examples import choose_examples
from lmcore.models.device import pick_device
from lmcore.models.generative import GenerativeModel
from lmcore.models.trainable import TrainableModel
from tasks.base_models import BaseModel
from tasks.evaluate.chat import row_of
from tasks.evaluate.contamination import read_is_clean


def compare_preferences(
    own: BaseModel,
    base: BaseModel,
    found: list[Conversation],
    settings: DPOTrainingConfig,
    config: EvaluateConfig,
    output: Path,
) -> EvaluationResult:
    """Metrics of a model and its base, and the test pairs with their log-probabilities."""
    compared = [conversation for conversation in found if conversation.rejected is not None]
    chosen = choose_examples(compared, config.completion.max_documents, config.seed)
    template = chat_template_of(own.folder, None, own.tokenizer)
    reads_source = isinstance(own.model, GenerativeModel) and own.model.reads_source
    pairs = encode_pairs(chosen, template, max_tokens=settings.max_tokens, reads_source=reads_source)
    if not pairs.pairs:
        return EvaluationResult(skipped="no test document has a chosen and a rejected answer")
    by_model = {name: _scores(model, pairs, config) for name, model in ((MODEL, own), (BASE, base))}
    by_id = {conversation.id: conversation for conversation in chosen}
    rows: list[dict[str, Any]] = [
        row_of(by_id[identity])
        | {name: f"{scores[index, 0]:.2f} chosen, {scores[index, 1]:.2f} rejected" for name, scores in by_model.items()}
        | {"rejected": by_id[identity].rejected or ""}
        for index, identity in enumerate(pairs.ids)
    ]
    names = {MODEL: f"{own.model.config.display_name} trained on preferences", BASE: "its base model"}
    is_clean = read_is_clean(output, pairs.ids)
    return evaluate_preferences(names, by_model[MODEL], by_model[BASE], settings.beta, is_clean, config, rows)


def _scores(base: BaseModel, pairs: EncodedPairs, config: EvaluateConfig) -> Floats:
    model = base.model.to(pick_device())
    assert isinstance(model, TrainableModel)
    found = pair_log_probabilities(model, pairs.pairs, batch_size=config.completion.batch_size)
    return found.to(torch.float64).numpy()
