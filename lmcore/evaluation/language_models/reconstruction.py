"""How well an encoder-decoder reconstructs a text from a partly masked one.

As in its training (Lewis et al. 2020, https://arxiv.org/abs/1910.13461), spans of the text are masked in the input of
the encoder, and the decoder predicts the whole text. Which spans are masked depends only on a seed and the number of
the document, so that models are comparable.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from lmcore.config.evaluate import EvaluateConfig
from lmcore.evaluation.held_out_contamination import Indices, measure_all_and_clean
from lmcore.evaluation.intervals import Bootstrap, Flags, Floats
from lmcore.evaluation.language_models.baselines import unigram_log_probabilities
from lmcore.evaluation.language_models.likelihood import BitsPerUnit, HeldOutDocuments, Tokens
from lmcore.evaluation.names import MODEL, UNIGRAM
from lmcore.evaluation.result import Metrics, pair_name
from lmcore.models.sequence_to_sequence import SequenceToSequenceModel
from lmcore.progress import progress
from lmcore.tokens.batches.batches import IGNORED
from lmcore.tokens.batches.corruption import corrupt, masked_spans
from lmcore.tokens.corpus.shards import TokenShards


@dataclass(frozen=True)
class ReconstructedDocument:
    """Predictions for the tokens of one document.

    Attributes:
        log_probabilities: natural logarithms, given the masked document and the tokens before, (n_tokens,).
        is_masked: which tokens were masked in the input, bool (n_tokens,).
    """

    log_probabilities: Floats
    is_masked: Flags


class _Segment(NamedTuple):
    """A part of a document that fits the context."""

    document: int
    start: int
    source: Tokens
    target: Tokens


class ReconstructionScorer:
    """Scores documents with an encoder-decoder; one longer than the context is split into segments of equal length.

    Args:
        model: the model with its weights, on its device.
        batch_tokens: how many tokens are predicted at once.
        seed: decides which spans are masked.
    """

    def __init__(self, model: SequenceToSequenceModel, *, batch_tokens: int, seed: int) -> None:
        self._model, self._batch_tokens, self._seed = model, batch_tokens, seed

    def score(self, documents: Sequence[Tokens]) -> list[ReconstructedDocument]:
        """Predict every token of the documents.

        Args:
            documents: token ids (n_tokens,), the end token included.
        """
        found = [ReconstructedDocument(np.zeros(len(own)), np.zeros(len(own), bool)) for own in documents]
        segments = [segment for number, tokens in enumerate(documents) for segment in self._cut(number, tokens, found)]
        segments.sort(key=lambda segment: len(segment.target), reverse=True)
        self._model.eval()
        with torch.inference_mode(), progress("Reconstruct", sum(map(len, documents)), "tokens") as bar:
            while segments:
                size = max(1, self._batch_tokens // len(segments[0].target))
                batch, segments = segments[:size], segments[size:]
                for segment, scores in zip(batch, self._score(batch), strict=True):
                    own = found[segment.document].log_probabilities
                    own[segment.start : segment.start + len(segment.target)] = scores[: len(segment.target)]
                bar.advance(sum(len(segment.target) for segment in batch))
        return found

    def _cut(self, number: int, tokens: Tokens, found: Sequence[ReconstructedDocument]) -> Iterator[_Segment]:
        generator = np.random.default_rng([self._seed, number])
        n_segments = -(-len(tokens) // self._model.max_position_embeddings)
        start = 0
        for target in np.array_split(tokens.astype(np.int64), n_segments):
            # A segment that consists of the end token alone has nothing to mask.
            spans = len(target) > 1 and masked_spans(len(target), self._model.config.corruption, generator)
            is_masked = np.broadcast_to(spans, len(target))
            source = corrupt(target, is_masked, self._model.vocabulary)
            is_end = target == self._model.vocabulary.end_of_text_id
            found[number].is_masked[start : start + len(target)] = is_masked & ~is_end
            yield _Segment(number, start, source, target)
            start += len(target)

    def _score(self, batch: Sequence[_Segment]) -> Floats:
        """Log-probabilities of the target tokens, (n_segments, longest target)."""
        model = self._model
        sources = _right_padded([segment.source for segment in batch], model.vocabulary.padding_id).to(model.device)
        targets = _right_padded([segment.target for segment in batch], IGNORED).to(model.device)
        logits = model.target_logits(sources, targets)
        chosen = logits.gather(-1, targets.clamp(min=0)[..., None])[..., 0] - logits.logsumexp(dim=-1)
        return np.asarray(chosen.double().cpu().numpy())


def _right_padded(sequences: Sequence[Tokens], value: int) -> torch.Tensor:
    padded = torch.full((len(sequences), max(map(len, sequences))), value)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = torch.from_numpy(sequence)
    return padded


def evaluate_encoder_decoder(
    model: SequenceToSequenceModel,
    shards: TokenShards,
    test: HeldOutDocuments,
    is_clean: Flags,
    sources: Sequence[str],
    config: EvaluateConfig,
) -> Metrics:
    """Compare an encoder-decoder with token frequencies on documents reconstructed from masked ones.

    Args:
        model: the model, on its device.
        shards: the tokenized corpus, whose training split gives the frequencies.
        test: the documents to reconstruct.
        is_clean: which of them share nothing with the training split, bool (n_documents,).
        sources: the source of each of them.
        config: number of tokens per batch, seed, and confidence intervals.
    """
    scorer = ReconstructionScorer(model, batch_tokens=config.likelihood.batch_tokens, seed=config.seed)
    found = scorer.score(test.tokens)
    frequencies = unigram_log_probabilities(shards.tokens("train"), shards.vocabulary_size)
    log_probabilities = {
        MODEL: [document.log_probabilities for document in found],
        UNIGRAM: [frequencies[tokens] for tokens in test.tokens],
    }
    masks = [document.is_masked for document in found]
    n_masked = np.array([mask.sum() for mask in masks])
    units_and_bits = {
        "bits_per_masked_token": (
            n_masked,
            {
                name: np.array([-own[mask].sum() for own, mask in zip(values, masks, strict=True)]) / np.log(2)
                for name, values in log_probabilities.items()
            },
        ),
        "bits_per_target_token": (
            test.n_tokens,
            {name: np.array([-own.sum() for own in values]) / np.log(2) for name, values in log_probabilities.items()},
        ),
    }

    def measure(indices: Indices) -> Metrics:
        bootstrap = Bootstrap(len(indices), config.bootstrap, config.seed)
        per_token = {metric: BitsPerUnit(units[indices], bootstrap) for metric, (units, _) in units_and_bits.items()}
        bits = {
            metric: {name: values[indices] for name, values in own.items()}
            for metric, (_, own) in units_and_bits.items()
        }
        return Metrics(
            {
                name: {metric: per_token[metric].estimate(bits[metric][name]) for metric in bits}
                for name in (MODEL, UNIGRAM)
            },
            {
                pair_name(MODEL, UNIGRAM): {
                    metric: per_token[metric].difference(bits[metric][MODEL], bits[metric][UNIGRAM]) for metric in bits
                }
            },
            {"n_documents": len(indices), "n_masked_tokens": int(n_masked[indices].sum())},
        )

    return measure_all_and_clean(is_clean, measure, sources)
