"""Evaluates the language model on held-out documents, compared with the baselines that fit its family."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lmcore.config.evaluate import EvaluateConfig, LikelihoodConfig, SamplesConfig
from lmcore.errors import UserError
from lmcore.evaluation.language_models.baselines import NgramBaselines, train_ngram, train_ngram_on_seen
from lmcore.evaluation.language_models.comparison import compare_language_models
from lmcore.evaluation.language_models.likelihood import HeldOutDocuments, read_held_out
from lmcore.evaluation.language_models.pseudo_likelihood import evaluate_masked
from lmcore.evaluation.language_models.reconstruction import evaluate_encoder_decoder
from lmcore.evaluation.language_models.scoring import NeuralScorer, NgramScorer, Scorer
from lmcore.evaluation.names import INTERPOLATION, MODEL, NGRAM, NGRAM_ON_SEEN, SHORTER_NGRAM, UNIGRAM
from lmcore.evaluation.result import EvaluationResult
from lmcore.generation import Generator
from lmcore.models.generative import CausalModel
from lmcore.models.ngram.model import NgramModel
from lmcore.models.sequence_to_sequence import SequenceToSequenceModel
from lmcore.models.trainable import MaskedModel
from lmcore.runtime.files import write_csv, write_json
from lmcore.text.documents.shards import read_documents
from lmcore.tokens.corpus.shards import TokenShards
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.training.record import TrainingRecord
from tasks.context.prefect import task
from tasks.evaluate.contamination import read_is_clean
from tasks.evaluate.models import language_model_on_device
from tasks.evaluate.results import write_result

CAUSAL, MASKED, ENCODER_DECODER = "causal", "masked", "encoder_decoder"
"""What a model predicts, which decides how it is evaluated."""


@task
def evaluate_language_model(
    config: EvaluateConfig, *, tokens: Path, documents: Path, language_model: Path, output: Path
) -> None:
    """Write ``language_model.json`` and, for a causal model, ``bits_per_byte.csv`` and ``document_bits.csv`` into
    ``output``.

    ``output`` must already contain ``contamination.csv``.
    """
    shards = TokenShards.open(tokens)
    model, tokenizer = language_model_on_device(language_model)
    names = {MODEL: model.config.display_name, UNIGRAM: "token frequencies"}
    if isinstance(model, MaskedModel):
        test = _held_out(shards, "test", config.likelihood.max_masked_documents, config)
        is_clean, sources = read_is_clean(output, test.ids), _sources(documents, test.ids)
        metrics = evaluate_masked(model, shards, test, is_clean, sources, config)
        result = EvaluationResult(names, metrics, {"kind": MASKED})
    elif isinstance(model, SequenceToSequenceModel):
        test = _held_out(shards, "test", config.likelihood.max_documents, config)
        is_clean, sources = read_is_clean(output, test.ids), _sources(documents, test.ids)
        metrics = evaluate_encoder_decoder(model, shards, test, is_clean, sources, config)
        result = EvaluationResult(names, metrics, {"kind": ENCODER_DECODER})
    elif isinstance(model, CausalModel):
        record = TrainingRecord.read(language_model)
        result = _evaluate_causal(model, tokenizer, shards, record, documents, config, output)
    else:
        raise TypeError(f"a model of family {model.config.display_name} cannot be evaluated")
    write_result(output, "language_model", result)


@task
def generate_samples(config: SamplesConfig, *, language_model: Path, output: Path) -> None:
    """Write ``samples.json`` into ``output``: a causal model's continuation of every prompt."""
    model, tokenizer = language_model_on_device(language_model)
    if not isinstance(model, CausalModel):
        write_json(output / "samples.json", [])
        return
    continuations = Generator(model, tokenizer).complete(config.prompts, config.generation)
    samples = [
        {"prompt": prompt, "continuation": continuation.text}
        for prompt, continuation in zip(config.prompts, continuations, strict=True)
    ]
    write_json(output / "samples.json", samples)


def _evaluate_causal(
    model: CausalModel,
    tokenizer: Tokenizer,
    shards: TokenShards,
    record: TrainingRecord,
    documents: Path,
    config: EvaluateConfig,
    output: Path,
) -> EvaluationResult:
    """Compare a causal model with n-gram models, and with their interpolation."""
    test = _held_out(shards, "test", config.likelihood.max_documents, config)
    baselines, sources = _baselines(model, shards, record, config), _sources(documents, test.ids)
    comparison = compare_language_models(
        _scorer(model, config.likelihood),
        baselines,
        validation=_held_out(shards, "validation", config.interpolation.max_documents, config),
        test=test,
        is_clean=read_is_clean(output, test.ids),
        sources=sources,
        config=config,
    )
    shown = comparison.sample_surprisal(test, tokenizer.decode, config.report, config.seed)
    titles = _titles(documents, [key for key, _ in shown])
    table = comparison.interpolation
    result = EvaluationResult(
        _names(model, baselines, config),
        comparison.metrics,
        {
            "kind": CAUSAL,
            "is_whole_split_seen": baselines.is_whole_split_seen,
            "interpolation": None if table is None else table.as_json(),
            "documents": [{"id": key, "title": titles[key], "spans": spans} for key, spans in shown],
        },
    )
    headline = result.headline
    estimates = {name: found[headline] for name, found in comparison.metrics.models.items()}
    rows = [(name, found.value, found.low, found.high) for name, found in estimates.items()]
    write_csv(output / "bits_per_byte.csv", ("model", headline, "low", "high"), rows)
    columns = ("id", "source", "n_bytes", "n_characters", *(f"bits_{name}" for name in comparison.bits))
    bits = (own.round(3).tolist() for own in comparison.bits.values())
    sizes = (test.n_bytes.tolist(), test.n_characters.tolist())
    write_csv(output / "document_bits.csv", columns, zip(test.ids, sources, *sizes, *bits, strict=True))
    return result


def _scorer(model: CausalModel, config: LikelihoodConfig) -> Scorer:
    return NgramScorer(model) if isinstance(model, NgramModel) else NeuralScorer(model, config=config)


def _drawn(record: TrainingRecord) -> dict[str, Any]:
    """Which tokens the language model was trained on."""
    if record.drawn is None:
        raise UserError("the language model's record.json does not say which tokens it was trained on: train it again")
    return record.drawn


def _baselines(
    model: CausalModel, shards: TokenShards, record: TrainingRecord, config: EvaluateConfig
) -> NgramBaselines:
    """N-gram models of the training split and of what the model has seen of it; none is the model itself."""
    order = config.ngram.order
    if not isinstance(model, NgramModel):
        whole, on_seen = train_ngram(shards, order), train_ngram_on_seen(shards, order, _drawn(record))
        more = {} if on_seen is None else {NGRAM_ON_SEEN: on_seen}
        return NgramBaselines({NGRAM: whole, **more}, whole, is_whole_split_seen=on_seen is None)
    if model.config.order != order:
        whole = train_ngram(shards, order)
        return NgramBaselines({NGRAM: whole}, whole, is_whole_split_seen=True)
    shorter = {SHORTER_NGRAM: train_ngram(shards, order - 1)} if order > 1 else {}
    return NgramBaselines(shorter, model.kneser_ney, is_whole_split_seen=True)


def _names(model: CausalModel, baselines: NgramBaselines, config: EvaluateConfig) -> dict[str, str]:
    """The models' names in text."""
    own, order = model.config.display_name, config.ngram.order
    interpolated = [
        own,
        *([f"{order}-gram"] if NGRAM in baselines.models else []),
        *(["cache"] if config.interpolation.cache else []),
    ]
    return {
        MODEL: own,
        NGRAM: f"{order}-gram",
        NGRAM_ON_SEEN: f"{order}-gram on the same tokens",
        SHORTER_NGRAM: f"{order - 1}-gram",
        INTERPOLATION: " + ".join(interpolated),
    }


def _held_out(shards: TokenShards, split: str, max_documents: int | None, config: EvaluateConfig) -> HeldOutDocuments:
    is_stream = config.likelihood.context == "stream"
    return read_held_out(shards, split, max_documents, is_stream=is_stream, seed=config.seed)


def _sources(documents: Path, ids: Sequence[str]) -> list[str]:
    """The source of each document."""
    table = read_documents(documents, ("id", "source"))
    source_of = dict(zip(table["id"].to_pylist(), table["source"].to_pylist(), strict=True))
    return [source_of[identity] for identity in ids]


def _titles(documents: Path, ids: list[str]) -> dict[str, str]:
    """A title for each document: its label and its name or path."""
    columns = ["id", "label", "name", "path"]
    table = read_documents(documents, columns)
    rows = table.filter(pc.is_in(table["id"], pa.array(ids, pa.string()))).to_pylist()
    return {row["id"]: " · ".join(filter(None, (row["label"], row["name"] or row["path"]))) for row in rows}
