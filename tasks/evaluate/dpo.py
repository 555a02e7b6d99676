"""Evaluates the model that was trained on preferences on test pairs, compared with its base model."""

from pathlib import Path
from typing import Any

import torch

from lmcore.config.evaluate import EvaluateConfig
from lmcore.config.finetune import FinetuneConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.errors import UserError
from lmcore.evaluation.intervals import Floats
from lmcore.evaluation.names import BASE, MODEL
from lmcore.evaluation.preferences import evaluate_preferences
from lmcore.evaluation.result import EvaluationResult
from lmcore.finetuning.chat.examples import CHAT_COLUMNS, conversations
from lmcore.finetuning.chat.preparation import chat_template_of
from lmcore.finetuning.dpo.pairs import EncodedPairs, encode_pairs, pair_log_probabilities
from lmcore.finetuning.examples import choose_examples
from lmcore.models.device import pick_device
from lmcore.models.generative import GenerativeModel
from lmcore.models.trainable import TrainableModel
from lmcore.text.documents.shards import read_documents
from tasks.base_models import BaseModel
from tasks.context.prefect import task
from tasks.evaluate.chat import shown
from tasks.evaluate.contamination import read_is_clean
from tasks.evaluate.models import BaseModels, why_absent
from tasks.evaluate.results import write_result

NAME = "dpo"


@task
def evaluate_dpo(
    config: EvaluateConfig,
    finetune: FinetuneConfig,
    split: SplitFractions,
    base_models: BaseModels,
    *,
    documents: Path,
    models: Path,
    output: Path,
) -> None:
    """Write ``dpo.json`` into ``output``: metrics, and the test pairs with their log-probabilities."""
    reason = why_absent(models, NAME)
    if reason is not None:
        write_result(output, NAME, EvaluationResult(skipped=reason))
        return
    if finetune.dpo is None:
        raise UserError("there is a model for dpo, but finetune.dpo is null in params.yaml: run `dvc repro finetune`")
    found = conversations(read_documents(documents, CHAT_COLUMNS), split)["test"]
    compared = [conversation for conversation in found if conversation.rejected is not None]
    chosen = choose_examples(compared, config.completion.max_documents, config.seed)
    own, base = base_models.load(str(models / NAME)), base_models.load(finetune.dpo.init_from)
    template = chat_template_of(own.folder, None, own.tokenizer)
    reads_source = isinstance(own.model, GenerativeModel) and own.model.reads_source
    pairs = encode_pairs(chosen, template, max_tokens=finetune.dpo.max_tokens, reads_source=reads_source)
    if not pairs.pairs:
        write_result(output, NAME, EvaluationResult(skipped="no test document has a chosen and a rejected answer"))
        return
    by_model = {name: _scores(model, pairs, config) for name, model in ((MODEL, own), (BASE, base))}
    by_id = {conversation.id: conversation for conversation in chosen}
    rows: list[dict[str, Any]] = [
        {"id": identity, "prompt": shown(by_id[identity].prompt), "reference": by_id[identity].answer}
        | {name: f"{scores[index, 0]:.2f} chosen, {scores[index, 1]:.2f} rejected" for name, scores in by_model.items()}
        | {"rejected": by_id[identity].rejected or ""}
        for index, identity in enumerate(pairs.ids)
    ]
    names = {MODEL: f"{own.model.config.display_name} trained on preferences", BASE: "the model before that"}
    result = evaluate_preferences(
        names,
        by_model[MODEL],
        by_model[BASE],
        finetune.dpo.beta,
        read_is_clean(output, pairs.ids),
        config,
        rows,
    )
    write_result(output, NAME, result)


def _scores(base: BaseModel, pairs: EncodedPairs, config: EvaluateConfig) -> Floats:
    model = base.model.to(pick_device())
    assert isinstance(model, TrainableModel)
    found = pair_log_probabilities(model, pairs.pairs, batch_size=config.completion.batch_size)
    return found.to(torch.float64).numpy()
