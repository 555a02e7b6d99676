"""The language model's likelihood of held-out documents, beside n-gram models and in a mixture with one."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.evaluation.bootstrap import Bootstrap
from lmcore.evaluation.comparison import MODELS, NEURAL, NGRAM, LanguageModelComparison, compare_language_models
from lmcore.evaluation.config import EvaluateConfig, LikelihoodConfig, ReportConfig
from lmcore.evaluation.likelihood import HeldOutDocuments, LikelihoodMeasures
from lmcore.evaluation.neural import Judge, NeuralLikelihood, NgramLikelihood
from lmcore.evaluation.pseudo_likelihood import PseudoLikelihood
from lmcore.evaluation.seen import SeenDocuments
from lmcore.evaluation.surprise import surprise_by_piece
from lmcore.files import write_json
from lmcore.models.bert import BERT
from lmcore.models.causal import CausalModel
from lmcore.models.model import Model
from lmcore.models.ngram import KneserNey
from lmcore.models.ngram_model import NgramModel
from lmcore.text.shards import read_documents
from lmcore.tokens.shards import TokenShards
from lmcore.tokens.tokenizer import Tokenizer
from lmcore.training.examples import choose_examples
from lmcore.training.pretraining import seen_pieces
from tasks.evaluate.models import language_model_on_device
from tasks.evaluate.tables import write_csv
from tasks.step import step

logger = logging.getLogger(__name__)


@step()
def evaluate_language_model(
    config: EvaluateConfig, *, tokens: Path, documents: Path, language_model: Path, output: Path
) -> None:
    """Write ``language_model.json`` and ``bits_per_byte.csv`` into ``output``."""
    shards = TokenShards.open(tokens)
    model, tokenizer = language_model_on_device(language_model)
    judge = _judge(model, config.likelihood)
    if judge is None:
        _judge_otherwise(model, shards, config, output)
        return
    record = json.loads((language_model / "record.json").read_text(encoding="utf-8"))
    test = _held_out(shards, "test", config.likelihood.max_documents, config)
    comparison = compare_language_models(
        judge,
        _train_ngram(shards, config),
        _train_ngram_on_seen(shards, config, record),
        validation=_held_out(shards, "validation", config.interpolation.max_documents, config),
        test=test,
        config=config,
    )
    figures = comparison.figures
    write_json(
        output / "language_model.json",
        {
            "figures": figures,
            "mixture": _as_lists(comparison),
            "documents": _shown_documents(comparison, test, tokenizer, documents, config.report, config.seed),
        },
    )
    rows = [[model, *figures[model]["bits_per_byte"].values()] for model in MODELS]
    write_csv(output / "bits_per_byte.csv", ("model", "bits_per_byte", "low", "high"), rows)
    shown = ", ".join(f"{model} {figures[model]['bits_per_byte']['value']:.3f}" for model in MODELS)
    logger.info("Bits per byte of %d test documents: %s", len(test.ids), shown)


def _judge(model: Model, config: LikelihoodConfig) -> Judge | None:
    """What a model says of documents, if it predicts them token by token."""
    if isinstance(model, NgramModel):
        return NgramLikelihood(model)
    return NeuralLikelihood(model, config=config) if isinstance(model, CausalModel) else None


def _judge_otherwise(model: Model, shards: TokenShards, config: EvaluateConfig, output: Path) -> None:
    """Of a masked model its pseudo-perplexity; of any other why there is no figure."""
    found: dict[str, Any] = {"skipped": f"a model of family {model.config.family} does not predict the next token"}
    if isinstance(model, BERT):
        test = _held_out(shards, "test", config.likelihood.max_masked_documents, config)
        judge = PseudoLikelihood(model, batch_tokens=max(config.likelihood.batch_tokens, model.context_length))
        scores = judge.log_probabilities(test.tokens)
        bits = np.array([-score.sum() / np.log(2.0) for score in scores])
        measures = LikelihoodMeasures(test, Bootstrap(len(test.ids), config.bootstrap, config.seed))
        estimate = measures.pseudo_perplexity(bits, np.array([len(score) for score in scores]))
        found["figures"] = {"neural": {"pseudo_perplexity": estimate.as_dict()}, "n_documents": len(test.ids)}
        logger.info("Pseudo-perplexity of %d test documents: %.2f", len(test.ids), estimate.value)
    write_json(output / "language_model.json", found)


def _held_out(shards: TokenShards, split: str, limit: int | None, config: EvaluateConfig) -> HeldOutDocuments:
    """A random choice of a split's documents; of one stream the beginning."""
    ids, offsets, tokens = shards.document_ids(split), shards.offsets(split), shards.tokens(split)
    limit = len(ids) if limit is None else limit
    is_stream = config.likelihood.context == "stream"
    chosen = list(range(min(limit, len(ids)))) if is_stream else choose_examples(range(len(ids)), limit, config.seed)
    return HeldOutDocuments(
        ids=tuple(ids[index] for index in chosen),
        tokens=tuple(np.array(tokens[offsets[index] : offsets[index + 1]]) for index in chosen),
        n_bytes=shards.n_bytes(split)[chosen],
        are_one_stream=is_stream,
    )


def _train_ngram(shards: TokenShards, config: EvaluateConfig) -> KneserNey:
    return KneserNey.train(
        shards.tokens("train"),
        shards.offsets("train"),
        order=config.ngram.order,
        vocabulary_size=shards.vocabulary_size,
        start_token=shards.end_of_text_id,
    )


def _train_ngram_on_seen(shards: TokenShards, config: EvaluateConfig, record: Any) -> KneserNey:
    """A model of exactly the tokens that the neural one was trained on."""
    pieces = seen_pieces(shards.tokens("train"), record["drawn"])
    seen = SeenDocuments.of(*pieces, shards.end_of_text_id)
    return KneserNey.train(
        seen.tokens,
        seen.offsets,
        order=config.ngram.order,
        vocabulary_size=shards.vocabulary_size,
        start_token=shards.end_of_text_id,
        continued=seen.continued,
    )


def _as_lists(comparison: LanguageModelComparison) -> dict[str, list[list[float | None]]]:
    """The mixture's table for JSON, which knows no NaN."""
    weights = [[None if np.isnan(cell) else round(cell, 4) for cell in row] for row in comparison.mixture.weights]
    return {"weights": weights, "shares": np.round(comparison.mixture.shares, 4).tolist()}


def _shown_documents(
    comparison: LanguageModelComparison,
    test: HeldOutDocuments,
    tokenizer: Tokenizer,
    documents: Path,
    config: ReportConfig,
    seed: int,
) -> list[dict[str, Any]]:
    """Some documents of a length that can be shown, with the bits that both models need for them."""
    longest = config.max_document_tokens
    fitting = [index for index, n_tokens in enumerate(test.n_tokens) if longest // 3 <= n_tokens - 1 <= longest]
    shown = choose_examples(fitting, config.n_documents, seed)
    titles = _titles(documents, [test.ids[index] for index in shown])
    offsets = np.concatenate(([0], np.cumsum(test.n_tokens)))
    found = []
    for index in shown:
        places = slice(offsets[index], offsets[index + 1])
        bits = {name: -comparison.log_probabilities[name][places] / np.log(2) for name in (NEURAL, NGRAM)}
        pieces = surprise_by_piece(test.tokens[index][:-1].tolist(), bits, tokenizer.decode)
        found.append({"id": test.ids[index], "title": titles[test.ids[index]], "pieces": pieces})
    return found


def _titles(documents: Path, ids: list[str]) -> dict[str, str]:
    """What the documents are called: their label and name, or where they were found."""
    columns = ["id", "label", "name", "path"]
    table = read_documents(documents, columns)
    rows = table.filter(pc.is_in(table["id"], pa.array(ids, pa.string()))).to_pylist()
    return {row["id"]: " · ".join(filter(None, (row["label"], row["name"] or row["path"]))) for row in rows}
