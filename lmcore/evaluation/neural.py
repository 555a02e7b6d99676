"""Per-token log-probabilities of a neural causal model, for documents of any length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lmcore.config.evaluate import LikelihoodConfig
from lmcore.errors import UserError
from lmcore.evaluation.bootstrap import Floats
from lmcore.evaluation.likelihood import Tokens
from lmcore.models.generative import CausalModel, CountedModel
from lmcore.progress import progress


@dataclass(frozen=True)
class NeuralScores:
    """What a neural model says about the tokens of some documents, all of them end to end."""

    log_probabilities: Floats
    """(n_tokens,) natural logarithms."""
    confidence: Floats
    """(n_tokens,) the logarithm of the highest probability among all tokens that could have stood there."""


@dataclass(frozen=True)
class Window:
    """Places ``start`` to ``end`` of a document as the model sees them at once.

    Those from ``scored_from`` on are scored; the ones before were scored by an earlier window and are
    context.
    """

    document: int
    start: int
    end: int
    scored_from: int

    def __len__(self) -> int:
        return self.end - self.start


class NeuralLikelihood:
    """A causal model as a judge of documents.

    A model with a limited context reads a longer document through a moving window; one that carries a state reads
    every document from its start to its end.

    Args:
        model: with its weights, on its device.
        config: the window's stride and the size of a batch.

    Raises:
        ValueError: the stride leaves gaps between windows.
    """

    def __init__(self, model: CausalModel, *, config: LikelihoodConfig) -> None:
        if model.max_position_embeddings is not None and config.window_stride_tokens > model.max_position_embeddings:
            raise UserError(
                f"evaluate.likelihood.window_stride_tokens is {config.window_stride_tokens}, more than the "
                f"model's context: some tokens would never be scored. At most {model.max_position_embeddings} is right."
            )
        self._model = model
        self._end_token = model.vocabulary.end_of_text_id
        self._config = config

    def log_probabilities(self, documents: Sequence[Tokens]) -> list[Floats]:
        """The natural logarithm of every token's probability, aligned with the documents' tokens."""
        ends = np.cumsum([len(document) for document in documents])
        return np.split(self.score(documents).log_probabilities, ends[:-1]) if len(documents) else []

    def score(self, documents: Sequence[Tokens]) -> NeuralScores:
        """Every token's probability, and how sure the model was before it saw the token."""
        offsets = np.cumsum([0, *(len(document) for document in documents)])
        log_probabilities, confidence = np.empty((2, offsets[-1]), dtype=np.float64)
        self._model.eval()
        with torch.inference_mode(), progress("Score", int(offsets[-1]), "tokens") as work:
            for batch, scores in self._scored(documents):
                for window, (probability, best) in zip(batch, scores, strict=True):
                    scored = slice(window.scored_from - window.start, len(window))
                    first = offsets[window.document]
                    places = slice(first + window.scored_from, first + window.end)
                    log_probabilities[places], confidence[places] = probability[scored], best[scored]
                work.advance(sum(window.end - window.scored_from for window in batch))
        return NeuralScores(log_probabilities, confidence)

    def _scored(self, documents: Sequence[Tokens]) -> Iterator[tuple[list[Window], Floats]]:
        """Windows with their scores, (n_windows, 2, longest window), until every token has its own."""
        if self._model.max_position_embeddings is None:
            for rows in self._side_by_side(documents):
                yield from self._read_through(rows, documents)
        else:
            for batch in self._batches(documents, self._model.max_position_embeddings):
                inputs, targets = self._place(batch, documents)
                yield batch, self._score(self._model(inputs), targets)

    def _read_through(self, rows: Sequence[int], documents: Sequence[Tokens]) -> Iterator[tuple[list[Window], Floats]]:
        """Some documents, the longest first, from start to end, the state carried along."""
        stride, state = self._config.window_stride_tokens, self._model.new_state(len(rows))
        for start in range(0, len(documents[rows[0]]), stride):
            ends = [min(len(documents[row]), start + stride) for row in rows]
            batch = [Window(row, start, end, start) for row, end in zip(rows, ends, strict=True) if end > start]
            state.select(torch.arange(len(batch), device=self._model.device))
            inputs, targets = self._place(batch, documents)
            yield batch, self._score(self._model(inputs, state=state), targets)

    def _side_by_side(self, documents: Sequence[Tokens]) -> Iterator[list[int]]:
        """Documents of similar length, the longest first, as many as make ``batch_tokens`` at a time."""
        order = sorted(range(len(documents)), key=lambda row: len(documents[row]), reverse=True)
        size = max(1, self._config.batch_tokens // self._config.window_stride_tokens)
        for start in range(0, len(order), size):
            yield order[start : start + size]

    def _batches(self, documents: Sequence[Tokens], max_position_embeddings: int) -> Iterator[list[Window]]:
        """Windows of similar length together, ``batch_tokens`` with their padding, the longest first."""
        windows = [
            window
            for index, document in enumerate(documents)
            for window in cut_windows(index, len(document), max_position_embeddings, self._config.window_stride_tokens)
        ]
        windows.sort(key=len, reverse=True)  # stable: equal lengths stay in the documents' order
        while windows:
            size = max(1, self._config.batch_tokens // len(windows[0]))
            yield windows[:size]
            windows = windows[size:]

    def _place(self, batch: Sequence[Window], documents: Sequence[Tokens]) -> tuple[Tensor, Tensor]:
        """Inputs and targets of windows, int64 (n_windows, longest window), the longest window first."""
        # Padding behind a window changes nothing in it, for the model is causal.
        inputs = np.full((len(batch), len(batch[0])), self._end_token, dtype=np.int64)
        targets = inputs.copy()
        for row, window in enumerate(batch):
            tokens = documents[window.document]
            targets[row, : len(window)] = tokens[window.start : window.end]
            before = 1 if window.start == 0 else 0
            inputs[row, before : len(window)] = tokens[window.start - 1 + before : window.end - 1]
        device = self._model.device
        return torch.from_numpy(inputs).to(device), torch.from_numpy(targets).to(device)

    @staticmethod
    def _score(logits: Tensor, targets: Tensor) -> Floats:
        """Log-probability of the token and of the likeliest token: (n_windows, 2, longest window)."""
        normalizer = logits.logsumexp(dim=-1)
        chosen = logits.gather(-1, targets[..., None])[..., 0]
        scores = torch.stack((chosen - normalizer, logits.amax(dim=-1) - normalizer), dim=1)
        return np.asarray(scores.double().cpu().numpy())


class NgramLikelihood:
    """A counted model as a judge of documents: it scores them without windows."""

    def __init__(self, model: CountedModel) -> None:
        self._model = model

    def score(self, documents: Sequence[Tokens]) -> NeuralScores:
        """Every token's probability, and how sure the model was before it saw the token."""
        found = self._model.score_documents(documents)
        return NeuralScores(found.log_probabilities, found.confidence)


Judge = NeuralLikelihood | NgramLikelihood


def cut_windows(document: int, length: int, max_position_embeddings: int, stride: int) -> Iterator[Window]:
    """Cover a document so that every place is scored once, behind all the context that the stride leaves."""
    end = scored_from = 0
    while scored_from < length:
        end = min(length, end + stride if end else max_position_embeddings)
        yield Window(document, max(0, end - max_position_embeddings), end, scored_from)
        scored_from = end
