"""The language model's likelihood of held-out documents, beside what suits its family as a baseline."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.config.evaluate import EvaluateConfig, LikelihoodConfig, ReportConfig
from lmcore.evaluation.comparison import MODELS, Baselines, LanguageModelComparison, compare_language_models
from lmcore.evaluation.likelihood import HeldOutDocuments
from lmcore.evaluation.names import INTERPOLATION, MODEL, NGRAM, NGRAM_ON_SEEN, SHORTER_NGRAM, UNIGRAM, family_name
from lmcore.evaluation.neural import Judge, NeuralLikelihood, NgramLikelihood
from lmcore.evaluation.seen import SeenDocuments
from lmcore.evaluation.surprise import surprise_by_piece
from lmcore.finetuning.examples import choose_examples
from lmcore.models.bert.model import BERT
from lmcore.models.causal import CausalModel
from lmcore.models.encoder_decoder.model import EncoderDecoder
from lmcore.models.ngram.kneser_ney import KneserNey
from lmcore.models.ngram.model import NgramModel
from lmcore.runtime.files import write_json
from lmcore.text.documents.shards import read_documents
from lmcore.tokens.corpus.shards import TokenShards
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.training.pretraining import seen_pieces
from tasks.context.prefect import task
from tasks.evaluate.contamination import is_clean
from tasks.evaluate.models import language_model_on_device
from tasks.evaluate.restoration import encoder_decoder_figures, masked_figures
from tasks.evaluate.tables import write_csv

logger = logging.getLogger(__name__)

CAUSAL, MASKED, ENCODER_DECODER = "causal", "masked", "encoder_decoder"
"""What a model predicts, which decides how it is measured."""


@task
def evaluate_language_model(
    config: EvaluateConfig, *, tokens: Path, documents: Path, language_model: Path, output: Path
) -> None:
    """Write ``language_model.json`` and, of a causal model, ``bits_per_byte.csv`` into ``output``.

    The table of contaminated documents is there already.
    """
    shards = TokenShards.open(tokens)
    model, tokenizer = language_model_on_device(language_model)
    names = {MODEL: family_name(model.config), UNIGRAM: "token frequencies alone"}
    if isinstance(model, BERT):
        test = _held_out(shards, "test", config.likelihood.max_masked_documents, config)
        figures = masked_figures(model, shards, test, is_clean(output, test.ids), config)
        found = {"kind": MASKED, "names": names, "figures": figures}
    elif isinstance(model, EncoderDecoder):
        test = _held_out(shards, "test", config.likelihood.max_documents, config)
        figures = encoder_decoder_figures(model, shards, test, is_clean(output, test.ids), config)
        found = {"kind": ENCODER_DECODER, "names": names, "figures": figures}
    elif isinstance(model, CausalModel):
        record = json.loads((language_model / "record.json").read_text(encoding="utf-8"))
        found = _compare(model, tokenizer, shards, record, documents, config, output)
    else:
        raise TypeError(f"there is no way to evaluate a model of family {family_name(model.config)}")
    write_json(output / "language_model.json", found)


def _compare(
    model: CausalModel,
    tokenizer: Tokenizer,
    shards: TokenShards,
    record: Any,
    documents: Path,
    config: EvaluateConfig,
    output: Path,
) -> dict[str, Any]:
    """A causal model beside n-gram models, and in a mixture."""
    test = _held_out(shards, "test", config.likelihood.max_documents, config)
    baselines = _baselines(model, shards, record, config)
    comparison = compare_language_models(
        _judge(model, config.likelihood),
        baselines,
        validation=_held_out(shards, "validation", config.interpolation.max_documents, config),
        test=test,
        is_clean=is_clean(output, test.ids),
        config=config,
    )
    figures = comparison.figures
    measured = [name for name in MODELS if name in figures]
    headline = "bits_per_byte_clean" if "bits_per_byte_clean" in figures[MODEL] else "bits_per_byte"
    rows = [[name, *figures[name][headline].values()] for name in measured]
    write_csv(output / "bits_per_byte.csv", ("model", headline, "low", "high"), rows)
    shown = ", ".join(f"{name} {figures[name][headline]['value']:.3f}" for name in measured)
    n_documents = figures.get("n_documents_clean", figures["n_documents"])
    logger.info("%s of %d test documents: %s", headline.replace("_", " "), n_documents, shown)
    return {
        "kind": CAUSAL,
        "names": _names(model, baselines, config),
        "figures": figures,
        "mixture": _as_lists(comparison),
        "documents": _shown_documents(comparison, test, tokenizer, documents, config.report, config.seed),
    }


def _judge(model: CausalModel, config: LikelihoodConfig) -> Judge:
    return NgramLikelihood(model) if isinstance(model, NgramModel) else NeuralLikelihood(model, config=config)


def _baselines(model: CausalModel, shards: TokenShards, record: Any, config: EvaluateConfig) -> Baselines:
    """N-gram models of the training split and of what the model has seen of it; none is the model itself."""
    order = config.ngram.order
    if not isinstance(model, NgramModel):
        whole = _train_ngram(shards, order)
        return Baselines({NGRAM: whole, NGRAM_ON_SEEN: _train_ngram_on_seen(shards, order, record)}, whole)
    if model.config.order != order:
        whole = _train_ngram(shards, order)
        return Baselines({NGRAM: whole}, whole)
    shorter = {SHORTER_NGRAM: _train_ngram(shards, order - 1)} if order > 1 else {}
    return Baselines(shorter, model.counted)


def _names(model: CausalModel, baselines: Baselines, config: EvaluateConfig) -> dict[str, str]:
    """What the models are called where people read."""
    trained, order = family_name(model.config), config.ngram.order
    parts = [
        trained,
        *([f"{order}-gram"] if NGRAM in baselines.ngrams else []),
        *(["cache"] if config.interpolation.cache else []),
    ]
    return {
        MODEL: trained,
        NGRAM: f"{order}-gram",
        NGRAM_ON_SEEN: f"{order}-gram of the same tokens",
        SHORTER_NGRAM: f"{order - 1}-gram",
        INTERPOLATION: " + ".join(parts),
    }


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


def _train_ngram(shards: TokenShards, order: int) -> KneserNey:
    return KneserNey.train(
        shards.tokens("train"),
        shards.offsets("train"),
        order=order,
        vocabulary_size=shards.vocabulary_size,
        start_token=shards.end_of_text_id,
    )


def _train_ngram_on_seen(shards: TokenShards, order: int, record: Any) -> KneserNey:
    """A model of exactly the tokens that the trained one has drawn."""
    pieces = seen_pieces(shards.tokens("train"), record["drawn"])
    seen = SeenDocuments.of(*pieces, shards.end_of_text_id)
    return KneserNey.train(
        seen.tokens,
        seen.offsets,
        order=order,
        vocabulary_size=shards.vocabulary_size,
        start_token=shards.end_of_text_id,
        continued=seen.continued,
    )


def _as_lists(comparison: LanguageModelComparison) -> dict[str, list[list[float | None]]] | None:
    """The mixture's table for JSON, which knows no NaN."""
    table = comparison.mixture
    if table is None:
        return None
    weights = [[None if np.isnan(cell) else round(cell, 4) for cell in row] for row in table.weights]
    return {"weights": weights, "shares": np.round(table.shares, 4).tolist()}


def _shown_documents(
    comparison: LanguageModelComparison,
    test: HeldOutDocuments,
    tokenizer: Tokenizer,
    documents: Path,
    config: ReportConfig,
    seed: int,
) -> list[dict[str, Any]]:
    """Some documents of a length that can be shown, with the bits that the model and its baseline need for them."""
    longest = config.max_document_tokens
    fitting = [index for index, n_tokens in enumerate(test.n_tokens) if longest // 3 <= n_tokens - 1 <= longest]
    shown = choose_examples(fitting, config.n_documents, seed)
    titles = _titles(documents, [test.ids[index] for index in shown])
    offsets = np.concatenate(([0], np.cumsum(test.n_tokens)))
    models = [name for name in (MODEL, NGRAM, SHORTER_NGRAM) if name in comparison.log_probabilities]
    found = []
    for index in shown:
        places = slice(offsets[index], offsets[index + 1])
        bits = {name: -comparison.log_probabilities[name][places] / np.log(2) for name in models}
        pieces = surprise_by_piece(test.tokens[index][:-1].tolist(), bits, tokenizer.decode)
        found.append({"id": test.ids[index], "title": titles[test.ids[index]], "pieces": pieces})
    return found


def _titles(documents: Path, ids: list[str]) -> dict[str, str]:
    """What the documents are called: their label and name, or where they were found."""
    columns = ["id", "label", "name", "path"]
    table = read_documents(documents, columns)
    rows = table.filter(pc.is_in(table["id"], pa.array(ids, pa.string()))).to_pylist()
    return {row["id"]: " · ".join(filter(None, (row["label"], row["name"] or row["path"]))) for row in rows}
