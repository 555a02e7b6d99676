"""How well a masked language model predicts documents: each token is masked in turn (Salazar et al. 2020,
https://arxiv.org/abs/1910.14659)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lmcore.config.evaluate import EvaluateConfig
from lmcore.errors import UserError
from lmcore.evaluation.held_out_contamination import Indices, measure_all_and_clean
from lmcore.evaluation.intervals import Bootstrap, Flags, Floats
from lmcore.evaluation.language_models.baselines import unigram_log_probabilities
from lmcore.evaluation.language_models.likelihood import BitsPerUnit, HeldOutDocuments, Tokens
from lmcore.evaluation.names import MODEL, UNIGRAM
from lmcore.evaluation.result import Metrics, pair_name
from lmcore.models.trainable import MaskedModel
from lmcore.progress import progress
from lmcore.tokens.corpus.shards import TokenShards


@dataclass(frozen=True)
class MaskedPosition:
    """A token to predict: the one at position ``masked`` of a document, which is read from ``start`` to ``end``."""

    document: int
    start: int
    end: int
    masked: int


@dataclass(frozen=True)
class SampledTokens:
    """Predictions for a sample of the tokens of one document.

    Attributes:
        n_tokens: number of tokens in the document that are not special.
        tokens: the tokens that were predicted, int64 (n_predicted,).
        log_probabilities: natural logarithms of their probabilities, (n_predicted,).
    """

    n_tokens: int
    tokens: Tokens
    log_probabilities: Floats

    def bits(self, log_probabilities: Floats | None = None) -> float:
        """The bits of the whole document, extrapolated from the predicted tokens: by the model's log-probabilities, or
        by other log-probabilities of the same tokens."""
        values = self.log_probabilities if log_probabilities is None else log_probabilities
        return 0.0 if len(values) == 0 else -float(values.mean()) * self.n_tokens / math.log(2.0)


class PseudoLikelihoodScorer:
    """Scores documents with a masked language model.

    Every token is predicted from all others, so that the metrics are not comparable with those of causal models. In a
    document longer than the context, a token is predicted from a window of that length, with the token in the middle
    where possible. The start token is put before each document; special tokens are read but not predicted.

    Args:
        model: the model with its weights, on its device.
        batch_tokens: how many tokens the model reads at once; each predicted token costs one pass over its context.

    Raises:
        UserError: a batch is too small for one whole context.
    """

    def __init__(self, model: MaskedModel, *, batch_tokens: int) -> None:
        if batch_tokens < model.max_position_embeddings:
            raise UserError(
                f"batch_tokens is {batch_tokens}, less than the model's context of {model.max_position_embeddings} "
                "tokens: a long document would not fit in a batch"
            )
        self._model = model
        self._batch_tokens = batch_tokens
        vocabulary = model.vocabulary
        self._specials = vocabulary.special_ids

    def log_probabilities(self, documents: Sequence[Tokens]) -> list[Floats]:
        """The natural logarithm of each token's probability given all others, for each document.

        Args:
            documents: token ids (n_tokens,), with or without the end token.

        Returns:
            one float64 array per document, with an element for each token that is not special, in their order.
        """
        framed = self._framed(documents)
        return self._score_at(framed, [self._predictable(document) for document in framed])

    def sample(self, documents: Sequence[Tokens], *, max_tokens: int, seed: int) -> list[SampledTokens]:
        """The same for at most ``max_tokens`` random tokens of each document, since every token costs one pass."""
        framed = self._framed(documents)
        positions = [self._predictable(document) for document in framed]
        drawn = [
            np.sort(np.random.default_rng([seed, number]).choice(own, min(max_tokens, len(own)), replace=False))
            for number, own in enumerate(positions)
        ]
        scores = self._score_at(framed, drawn)
        return [
            SampledTokens(len(own), document[chosen], score)
            for own, document, chosen, score in zip(positions, framed, drawn, scores, strict=True)
        ]

    def pseudo_perplexity(self, documents: Sequence[Tokens]) -> float:
        """The exponential of the mean negative log-probability over all predicted tokens.

        Raises:
            UserError: there is no token to predict.
        """
        scores = self.log_probabilities(documents)
        n_tokens = sum(map(len, scores))
        if not n_tokens:
            raise UserError(
                f"none of the {len(documents)} documents has a token to predict: the pseudo-perplexity is undefined"
            )
        return math.exp(-sum(float(score.sum()) for score in scores) / n_tokens)

    def _framed(self, documents: Sequence[Tokens]) -> list[Tokens]:
        start = self._model.vocabulary.start_id
        return [np.concatenate(([start], document)).astype(np.int64) for document in documents]

    def _predictable(self, document: Tokens) -> Tokens:
        """Positions of the tokens that are not special."""
        return np.flatnonzero(~np.isin(document, self._specials))

    def _score_at(self, framed: Sequence[Tokens], positions: Sequence[Tokens]) -> list[Floats]:
        scores = [np.empty(len(document)) for document in framed]
        self._model.eval()
        with torch.inference_mode(), progress("Score", sum(map(len, positions)), "tokens") as bar:
            for batch in self._batches(framed, positions):
                for position, score in zip(batch, self._score(batch, framed), strict=True):
                    scores[position.document][position.masked] = score
                bar.advance(len(batch))
        return [score[own] for score, own in zip(scores, positions, strict=True)]

    def _batches(self, framed: Sequence[Tokens], positions: Sequence[Tokens]) -> Iterator[list[MaskedPosition]]:
        """All positions in batches of similar context length, the longest first."""
        waiting = [
            _in_context(document, len(framed[document]), int(position), self._model.max_position_embeddings)
            for document in range(len(framed))
            for position in positions[document]
        ]
        waiting.sort(key=lambda position: position.end - position.start, reverse=True)
        start = 0
        while start < len(waiting):
            size = max(1, self._batch_tokens // (waiting[start].end - waiting[start].start))
            yield waiting[start : start + size]
            start += size

    def _score(self, batch: Sequence[MaskedPosition], framed: Sequence[Tokens]) -> Floats:
        """Log-probability of each masked token, (n_positions,)."""
        vocabulary, device = self._model.vocabulary, self._model.device
        longest = max(position.end - position.start for position in batch)
        tokens = np.full((len(batch), longest), vocabulary.padding_id)
        for row, position in enumerate(batch):
            tokens[row, : position.end - position.start] = framed[position.document][position.start : position.end]
        rows, columns = np.arange(len(batch)), np.array([position.masked - position.start for position in batch])
        expected = torch.from_numpy(tokens[rows, columns]).to(device)
        is_text = torch.from_numpy(tokens != vocabulary.padding_id).to(device)
        tokens[rows, columns] = vocabulary.mask_id
        features = self._model.features(torch.from_numpy(tokens).to(device), is_text)
        masked = features[torch.from_numpy(rows).to(device), torch.from_numpy(columns).to(device)]
        logits = self._model.output_logits(masked)
        chosen = logits.gather(1, expected[:, None])[:, 0] - logits.logsumexp(dim=1)
        return np.asarray(chosen.double().cpu().numpy())


def _in_context(document: int, length: int, masked: int, max_position_embeddings: int) -> MaskedPosition:
    start = min(max(0, masked - max_position_embeddings // 2), max(0, length - max_position_embeddings))
    return MaskedPosition(document, start, min(length, start + max_position_embeddings), masked)


def evaluate_masked(
    model: MaskedModel,
    shards: TokenShards,
    test: HeldOutDocuments,
    is_clean: Flags,
    sources: Sequence[str],
    config: EvaluateConfig,
) -> Metrics:
    """Compare a masked language model with token frequencies on a sample of the tokens of each document.

    Args:
        model: the model, on its device.
        shards: the tokenized corpus, whose training split gives the frequencies.
        test: the documents to predict.
        is_clean: which of them share nothing with the training split, bool (n_documents,).
        sources: the source of each of them.
        config: number of tokens per document and per batch, seed, and confidence intervals.
    """
    scorer = PseudoLikelihoodScorer(
        model, batch_tokens=max(config.likelihood.batch_tokens, model.max_position_embeddings)
    )
    found = scorer.sample(test.tokens, max_tokens=config.likelihood.max_masked_tokens, seed=config.seed)
    frequencies = unigram_log_probabilities(shards.tokens("train"), shards.vocabulary_size)
    bits = {
        MODEL: np.array([document.bits() for document in found]),
        UNIGRAM: np.array([document.bits(frequencies[document.tokens]) for document in found]),
    }
    n_tokens = np.array([document.n_tokens for document in found])

    def measure(indices: Indices) -> Metrics:
        bootstrap = Bootstrap(len(indices), config.bootstrap, config.seed)
        per_byte = BitsPerUnit(test.n_bytes[indices], bootstrap)
        per_token = BitsPerUnit(n_tokens[indices], bootstrap)
        per_character = BitsPerUnit(test.n_characters[indices], bootstrap)
        difference = per_byte.difference(bits[MODEL][indices], bits[UNIGRAM][indices])
        return Metrics(
            {
                name: {
                    "pseudo_bits_per_byte": per_byte.estimate(values[indices]),
                    "pseudo_perplexity": per_token.perplexity(values[indices]),
                    "pseudo_bits_per_character": per_character.estimate(values[indices]),
                }
                for name, values in bits.items()
            },
            {pair_name(MODEL, UNIGRAM): {"pseudo_bits_per_byte": difference}},
            {
                "n_documents": len(indices),
                "n_predicted_tokens": sum(len(found[index].tokens) for index in indices),
            },
        )

    return measure_all_and_clean(is_clean, measure, sources)
