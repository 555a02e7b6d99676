"""Probes the language model and the classifier: memorized text, planted secrets, bias, typing errors."""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from pydantic import ValidationError

from lmcore.config.bias import BiasTemplates
from lmcore.config.evaluate import EvaluateConfig, TyposConfig
from lmcore.config.finetune import FinetuneConfig
from lmcore.config.generation import greedy_decoding
from lmcore.config.tokenize import SplitFractions
from lmcore.errors import UserError
from lmcore.evaluation.language_models.scoring import NeuralScorer, NgramScorer
from lmcore.evaluation.probes.bias import probe_bias
from lmcore.evaluation.probes.canaries import Complete, probe_canaries, probe_canary_extraction
from lmcore.evaluation.probes.memorization import probe_memorization
from lmcore.evaluation.probes.probe import Probe
from lmcore.evaluation.probes.text_likelihood import text_scorer
from lmcore.evaluation.probes.typos import probe_accuracy, probe_likelihood
from lmcore.finetuning.classification.examples import classification_columns, classification_examples
from lmcore.finetuning.classification.prediction import predict
from lmcore.finetuning.examples import choose_examples
from lmcore.generation import Generator
from lmcore.models.generative import CausalModel
from lmcore.models.ngram.model import NgramModel
from lmcore.runtime.files import write_json
from lmcore.text.documents.shards import read_documents
from lmcore.text.split import splits_of
from lmcore.tokens.corpus.shards import TokenShards
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from tasks.context.prefect import task
from tasks.context.yaml_values import read_yaml
from tasks.evaluate.models import classifier_on_device, language_model_on_device
from tasks.evaluate.results import PROBES

logger = logging.getLogger(__name__)


@task
def probe_models(
    config: EvaluateConfig,
    finetune: FinetuneConfig,
    split: SplitFractions,
    *,
    tokens: Path,
    documents: Path,
    language_model: Path,
    models: Path,
    output: Path,
) -> None:
    """Write ``probes.json`` into ``output``: what the probes find for the language model and the classifier; those of
    a language model need one that reads from left to right."""
    found: dict[str, list[Probe]] = {"language_model": [], "classifier": []}
    model, tokenizer = language_model_on_device(language_model)
    if isinstance(model, CausalModel):
        found["language_model"] = list(
            _probe_language_model(model, tokenizer, config, split, TokenShards.open(tokens), documents)
        )
    typos = config.probes.typos
    if typos is not None and finetune.classification is not None and (models / "classifier").exists():
        found["classifier"] = list(_probe_classifier(config, typos, finetune, split, documents, models / "classifier"))
    write_json(output / PROBES, {part: [probe.as_json() for probe in probes] for part, probes in found.items()})
    for probe in (probe for probes in found.values() for probe in probes):
        numbers = (f"{', '.join(row.conditions)} {row.estimate.value:.3g}" for row in probe.rows)
        logger.info("%s, %s: %s", probe.title, probe.measure, "; ".join(numbers))


def _probe_language_model(
    model: CausalModel,
    tokenizer: Tokenizer,
    config: EvaluateConfig,
    split: SplitFractions,
    shards: TokenShards,
    documents: Path,
) -> Iterator[Probe]:
    probes, seed, bootstrap = config.probes, config.seed, config.bootstrap
    scorer = NgramScorer(model) if isinstance(model, NgramModel) else NeuralScorer(model, config=config.likelihood)
    score = text_scorer(scorer, tokenizer)
    if probes.memorization is not None:
        probe = probe_memorization(model, shards, probes.memorization, seed=seed, confidence=bootstrap.confidence)
        if probe.rows:
            yield probe
        else:
            logger.warning(
                "Memorization is not probed: no text of the corpus is long enough for evaluate.probes.memorization"
            )
    if probes.canaries is not None:
        canaries = _canaries(documents, shards, probes.canaries.sources)
        yield probe_canaries(score, canaries, probes.canaries, seed=seed, bootstrap=bootstrap)
        complete = _greedy_decoder(model, tokenizer, list(chain.from_iterable(canaries.values())))
        yield probe_canary_extraction(complete, canaries, confidence=bootstrap.confidence)
    if probes.bias is not None:
        yield probe_bias(score, _read_templates(probes.bias.templates), seed=seed, bootstrap=bootstrap)
    if probes.typos is not None:
        texts = choose_examples(_test_texts(documents, split), probes.typos.max_documents, seed)
        yield probe_likelihood(score, texts, probes.typos.rates, seed=seed, bootstrap=bootstrap)


def _probe_classifier(
    config: EvaluateConfig,
    typos: TyposConfig,
    finetune: FinetuneConfig,
    split: SplitFractions,
    documents: Path,
    folder: Path,
) -> Iterator[Probe]:
    classifier, tokenizer = classifier_on_device(folder)
    if finetune.classification is None or classifier.is_multi_label:
        return
    column = finetune.classification.label_column
    table = read_documents(documents, classification_columns(column))
    examples = classification_examples(table, split, column)["test"]
    pairs = [pair for pair in zip(examples.texts, examples.labels, strict=True) if pair[1] in classifier.labels]
    if not pairs:
        return
    chosen = choose_examples(pairs, typos.max_documents, config.seed)

    def labels_of(texts: Sequence[str]) -> list[str]:
        return [classifier.labels[index] for index in predict(classifier, tokenizer, texts).argmax(axis=1)]

    yield probe_accuracy(
        labels_of,
        [text for text, _ in chosen],
        [label for _, label in chosen],
        typos.rates,
        seed=config.seed,
        confidence=config.bootstrap.confidence,
    )


def _greedy_decoder(model: CausalModel, tokenizer: Tokenizer, canaries: Sequence[str]) -> Complete:
    """Continues texts by as many tokens as the longest canary has."""
    generator, longest = Generator(model, tokenizer), max(len(tokenizer.encode(canary)) for canary in canaries)

    def complete(texts: Sequence[str]) -> list[str]:
        return [found.text or "" for found in generator.complete(texts, greedy_decoding(longest))]

    return complete


def _test_texts(documents: Path, split: SplitFractions) -> list[str]:
    table = read_documents(documents, ("id", "split", "text"))
    texts = table["text"].to_pylist()
    return [text for text, own in zip(texts, splits_of(table, split), strict=True) if own == "test"]


def _canaries(documents: Path, shards: TokenShards, sources: Sequence[str]) -> dict[int, list[str]]:
    """The texts of planted documents by how often they are in the training shard."""
    table = read_documents(documents, ("id", "source", "text"))
    n_copies = Counter(shards.document_ids("train"))
    rows = zip(*(table[name].to_pylist() for name in ("id", "source", "text")), strict=True)
    found: dict[int, list[str]] = {}
    for identity, source, text in rows:
        if source in sources and n_copies[identity]:
            found.setdefault(n_copies[identity], []).append(text)
    if not found:
        raise UserError(
            f"no training document is of the sources {', '.join(sources)} that evaluate.probes.canaries names: plant "
            "canaries as in recipes/canaries.yaml, or set it to null"
        )
    return found


def _read_templates(path: Path) -> BiasTemplates:
    try:
        return BiasTemplates.model_validate_json(json.dumps(read_yaml(path)))
    except FileNotFoundError:
        raise UserError(f"{path}, which evaluate.probes.bias.templates names, does not exist") from None
    except (UserError, ValidationError) as error:
        raise UserError(f"{path} {error}") from None
