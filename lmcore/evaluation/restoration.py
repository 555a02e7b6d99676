"""How well an encoder-decoder reconstructs a text from a partly masked one.

As in its training (Lewis et al. 2020, https://arxiv.org/abs/1910.13461), spans of a text are masked in what the encoder
reads, and the decoder writes the whole text. Which spans that are depends on a seed and the text's number alone, so
that models compare.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from lmcore.evaluation.bootstrap import Floats
from lmcore.evaluation.likelihood import Tokens
from lmcore.models.generative import SequenceToSequenceModel
from lmcore.progress import progress
from lmcore.tokens.batches.batches import IGNORED
from lmcore.tokens.batches.corruption import corrupt, hidden_spans


@dataclass(frozen=True)
class RestoredDocument:
    """The tokens of a document as the model writes them out again.

    Attributes:
        log_probabilities: natural logarithms (n_tokens,), given what was read and the tokens before.
        is_masked: which tokens were not to be read, bool (n_tokens,).
    """

    log_probabilities: Floats
    is_masked: npt.NDArray[np.bool_]


class _Piece(NamedTuple):
    document: int
    start: int
    source: Tokens
    target: Tokens


class Restoration:
    """Scores documents with an encoder-decoder; one longer than its context is split into pieces of equal length.

    Args:
        model: with its weights, on its device.
        batch_tokens: how many tokens are written at once.
        seed: decides which spans are masked.
    """

    def __init__(self, model: SequenceToSequenceModel, *, batch_tokens: int, seed: int) -> None:
        self._model, self._batch_tokens, self._seed = model, batch_tokens, seed

    def score(self, documents: Sequence[Tokens]) -> list[RestoredDocument]:
        """Every token of the documents, in their order.

        Args:
            documents: token ids (n_tokens,), the end token included.
        """
        found = [RestoredDocument(np.zeros(len(own)), np.zeros(len(own), bool)) for own in documents]
        pieces = [piece for number, tokens in enumerate(documents) for piece in self._cut(number, tokens, found)]
        pieces.sort(key=lambda piece: len(piece.target), reverse=True)
        self._model.eval()
        with torch.inference_mode(), progress("Restore", sum(map(len, documents)), "tokens") as work:
            while pieces:
                size = max(1, self._batch_tokens // len(pieces[0].target))
                batch, pieces = pieces[:size], pieces[size:]
                for piece, scores in zip(batch, self._score(batch), strict=True):
                    own = found[piece.document].log_probabilities
                    own[piece.start : piece.start + len(piece.target)] = scores[: len(piece.target)]
                work.advance(sum(len(piece.target) for piece in batch))
        return found

    def _cut(self, number: int, tokens: Tokens, found: Sequence[RestoredDocument]) -> Iterator[_Piece]:
        generator = np.random.default_rng([self._seed, number])
        n_pieces = -(-len(tokens) // self._model.max_position_embeddings)
        start = 0
        for target in np.array_split(tokens.astype(np.int64), n_pieces):
            # A text of which no token is left but the end has nothing to mask.
            spans = len(target) > 1 and hidden_spans(len(target), self._model.config.corruption, generator)
            is_masked = np.broadcast_to(spans, len(target))
            source = corrupt(target, is_masked, self._model.vocabulary)
            is_end = target == self._model.vocabulary.end_of_text_id
            found[number].is_masked[start : start + len(target)] = is_masked & ~is_end
            yield _Piece(number, start, source, target)
            start += len(target)

    def _score(self, batch: Sequence[_Piece]) -> Floats:
        """Log-probabilities of the targets' tokens, (n_pieces, longest target)."""
        model = self._model
        sources = _filled_up([piece.source for piece in batch], model.vocabulary.padding_id).to(model.device)
        targets = _filled_up([piece.target for piece in batch], IGNORED).to(model.device)
        logits = model.target_logits(sources, targets)
        chosen = logits.gather(-1, targets.clamp(min=0)[..., None])[..., 0] - logits.logsumexp(dim=-1)
        return np.asarray(chosen.double().cpu().numpy())


def _filled_up(rows: Sequence[Tokens], value: int) -> torch.Tensor:
    filled = torch.full((len(rows), max(map(len, rows))), value)
    for number, row in enumerate(rows):
        filled[number, : len(row)] = torch.from_numpy(row)
    return filled
