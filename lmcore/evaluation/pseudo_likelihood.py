"""How well a masked model predicts documents: each token hidden in turn (Salazar et al. 2020,
https://arxiv.org/abs/1910.14659)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lmcore.errors import UserError
from lmcore.evaluation.bootstrap import Floats
from lmcore.evaluation.likelihood import Tokens
from lmcore.models.trainable import MaskedModel
from lmcore.progress import progress


@dataclass(frozen=True)
class HiddenPlace:
    """One token to be guessed: place ``hidden`` of a document, of which ``start`` to ``end`` are seen."""

    document: int
    start: int
    end: int
    hidden: int


@dataclass(frozen=True)
class SomeTokens:
    """What is known of a document from some of its tokens.

    Attributes:
        n_tokens: of the document that are not special.
        tokens: those that were predicted, int64 (n_predicted,).
        log_probabilities: theirs, natural logarithms (n_predicted,).
    """

    n_tokens: int
    tokens: Tokens
    log_probabilities: Floats

    def bits(self, log_probabilities: Floats | None = None) -> float:
        """The bits of all the document's tokens as the predicted ones let expect them, for these or other
        log-probabilities of the predicted tokens."""
        values = self.log_probabilities if log_probabilities is None else log_probabilities
        return 0.0 if len(values) == 0 else -float(values.mean()) * self.n_tokens / math.log(2.0)


class PseudoLikelihood:
    """A masked model as a judge of documents.

    Every token is guessed from all the others, so that the figures do not compare with those of causal models. Of a
    document longer than the context a token's surroundings are seen, as much before as behind it where there is as
    much. End tokens are seen, one before each document as well, and never guessed.

    Args:
        model: with its weights, on its device.
        batch_tokens: how many tokens the model reads at a time; every token of a document costs a reading of it.

    Raises:
        ValueError: if a batch is too small for one whole context.
    """

    def __init__(self, model: MaskedModel, *, batch_tokens: int) -> None:
        if batch_tokens < model.max_position_embeddings:
            raise UserError(
                f"batch_tokens is {batch_tokens}, less than the model's context of {model.max_position_embeddings}: "
                "a long document would not fit"
            )
        self._model = model
        self._batch_tokens = batch_tokens
        vocabulary = model.vocabulary
        self._specials = [vocabulary.end_of_text_id, vocabulary.padding_id, vocabulary.mask_id]

    def log_probabilities(self, documents: Sequence[Tokens]) -> list[Floats]:
        """The natural logarithm of each token's probability given all others, for each document.

        Args:
            documents: token ids (n_tokens,), with or without the end token.

        Returns:
            one float64 array per document, as long as it has tokens that are not special, in their order.
        """
        framed = self._framed(documents)
        return self._score_at(framed, [self._places(document) for document in framed])

    def of_some(self, documents: Sequence[Tokens], *, most: int, seed: int) -> list["SomeTokens"]:
        """The same for at most ``most`` tokens of each document, drawn at random: a long document costs one reading
        for each of them."""
        framed = self._framed(documents)
        places = [self._places(document) for document in framed]
        drawn = [
            np.sort(np.random.default_rng([seed, number]).choice(own, min(most, len(own)), replace=False))
            for number, own in enumerate(places)
        ]
        scores = self._score_at(framed, drawn)
        return [
            SomeTokens(len(own), document[chosen], score)
            for own, document, chosen, score in zip(places, framed, drawn, scores, strict=True)
        ]

    def pseudo_perplexity(self, documents: Sequence[Tokens]) -> float:
        """The exponential of the mean negative log-probability of all guessed tokens.

        Raises:
            ValueError: if there is no token to be guessed.
        """
        scores = self.log_probabilities(documents)
        n_tokens = sum(map(len, scores))
        if not n_tokens:
            raise UserError(f"{len(documents)} documents have no token to predict: the pseudo-perplexity is undefined")
        return math.exp(-sum(float(score.sum()) for score in scores) / n_tokens)

    def _framed(self, documents: Sequence[Tokens]) -> list[Tokens]:
        end = self._model.vocabulary.end_of_text_id
        return [np.concatenate(([end], document)).astype(np.int64) for document in documents]

    def _places(self, document: Tokens) -> Tokens:
        return np.flatnonzero(~np.isin(document, self._specials))

    def _score_at(self, framed: Sequence[Tokens], places: Sequence[Tokens]) -> list[Floats]:
        scores = [np.empty(len(document)) for document in framed]
        self._model.eval()
        with torch.inference_mode(), progress("Score", sum(map(len, places)), "tokens") as work:
            for batch in self._batches(framed, places):
                for hidden, score in zip(batch, self._score(batch, framed), strict=True):
                    scores[hidden.document][hidden.hidden] = score
                work.advance(len(batch))
        return [score[place] for score, place in zip(scores, places, strict=True)]

    def _batches(self, framed: Sequence[Tokens], places: Sequence[Tokens]) -> Iterator[list[HiddenPlace]]:
        """All places, those whose surroundings are of similar length together, the longest first."""
        waiting = [
            _surrounded(document, len(framed[document]), int(place), self._model.max_position_embeddings)
            for document in range(len(framed))
            for place in places[document]
        ]
        waiting.sort(key=lambda place: place.end - place.start, reverse=True)
        start = 0
        while start < len(waiting):
            size = max(1, self._batch_tokens // (waiting[start].end - waiting[start].start))
            yield waiting[start : start + size]
            start += size

    def _score(self, batch: Sequence[HiddenPlace], framed: Sequence[Tokens]) -> Floats:
        """Log-probability of each hidden token, (n_places,)."""
        vocabulary, device = self._model.vocabulary, self._model.device
        longest = max(place.end - place.start for place in batch)
        tokens = np.full((len(batch), longest), vocabulary.padding_id)
        for row, place in enumerate(batch):
            tokens[row, : place.end - place.start] = framed[place.document][place.start : place.end]
        rows, columns = np.arange(len(batch)), np.array([place.hidden - place.start for place in batch])
        expected = torch.from_numpy(tokens[rows, columns]).to(device)
        is_text = torch.from_numpy(tokens != vocabulary.padding_id).to(device)
        tokens[rows, columns] = vocabulary.mask_id
        hidden = self._model.features(torch.from_numpy(tokens).to(device), is_text)
        at_places = hidden[torch.from_numpy(rows).to(device), torch.from_numpy(columns).to(device)]
        logits = self._model.output_logits(at_places)
        chosen = logits.gather(1, expected[:, None])[:, 0] - logits.logsumexp(dim=1)
        return np.asarray(chosen.double().cpu().numpy())


def _surrounded(document: int, length: int, hidden: int, max_position_embeddings: int) -> HiddenPlace:
    start = min(max(0, hidden - max_position_embeddings // 2), max(0, length - max_position_embeddings))
    return HiddenPlace(document, start, min(length, start + max_position_embeddings), hidden)
