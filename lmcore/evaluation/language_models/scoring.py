"""Per-token log-probabilities of a causal model, for documents of any length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lmcore.config.evaluate import LikelihoodConfig
from lmcore.errors import UserError
from lmcore.evaluation.intervals import Floats
from lmcore.evaluation.language_models.likelihood import Tokens
from lmcore.models.generative import CausalModel, CountedModel, TokenScores
from lmcore.progress import progress


@dataclass(frozen=True)
class Window:
    """Positions ``start`` to ``end`` of a document, which the model reads at once.

    Positions from ``scored_from`` on are scored; those before were scored in an earlier window and are context.
    """

    document: int
    start: int
    end: int
    scored_from: int

    def __len__(self) -> int:
        return self.end - self.start


class NeuralScorer:
    """Scores documents with a neural causal model.

    A model with a limited context reads long documents through a sliding window; a model that carries a state reads
    every document from start to end.

    Args:
        model: the model with its weights, on its device.
        config: the stride of the window and the size of a batch.

    Raises:
        UserError: the stride leaves gaps between windows.
    """

    def __init__(self, model: CausalModel, *, config: LikelihoodConfig) -> None:
        if model.max_position_embeddings is not None and config.window_stride_tokens > model.max_position_embeddings:
            raise UserError(
                f"window_stride_tokens is {config.window_stride_tokens}, but the model's context has only "
                f"{model.max_position_embeddings} tokens: some tokens would never be scored. "
                f"Use at most {model.max_position_embeddings}."
            )
        self._model = model
        self._start_token = model.vocabulary.start_id
        self._config = config

    def log_probabilities(self, documents: Sequence[Tokens]) -> list[Floats]:
        """The natural logarithm of every token's probability, aligned with the documents' tokens."""
        ends = np.cumsum([len(document) for document in documents])
        return np.split(self.score(documents).log_probabilities, ends[:-1]) if len(documents) else []

    def score(self, documents: Sequence[Tokens]) -> TokenScores:
        """Every token's probability, and how confident the model was at its position."""
        offsets = np.cumsum([0, *(len(document) for document in documents)])
        log_probabilities, confidence = np.empty((2, offsets[-1]), dtype=np.float64)
        self._model.eval()
        with torch.inference_mode(), progress("Score", int(offsets[-1]), "tokens") as bar:
            for batch, scores in self._scored_windows(documents):
                for window, (probability, best) in zip(batch, scores, strict=True):
                    scored = slice(window.scored_from - window.start, len(window))
                    first = offsets[window.document]
                    positions = slice(first + window.scored_from, first + window.end)
                    log_probabilities[positions], confidence[positions] = probability[scored], best[scored]
                bar.advance(sum(window.end - window.scored_from for window in batch))
        return TokenScores(log_probabilities, confidence)

    def _scored_windows(self, documents: Sequence[Tokens]) -> Iterator[tuple[list[Window], Floats]]:
        """Batches of windows with their scores, (n_windows, 2, longest window), until every token is scored."""
        if self._model.max_position_embeddings is None:
            for indices in self._document_batches(documents):
                yield from self._read_through(indices, documents)
        else:
            for batch in self._window_batches(documents, self._model.max_position_embeddings):
                inputs, targets = self._tensors(batch, documents)
                yield batch, self._score(self._model(inputs), targets)

    def _read_through(
        self, indices: Sequence[int], documents: Sequence[Tokens]
    ) -> Iterator[tuple[list[Window], Floats]]:
        """Read documents, the longest first, from start to end while carrying the state along."""
        stride, state = self._config.window_stride_tokens, self._model.new_state(len(indices))
        for start in range(0, len(documents[indices[0]]), stride):
            ends = [min(len(documents[index]), start + stride) for index in indices]
            batch = [Window(index, start, end, start) for index, end in zip(indices, ends, strict=True) if end > start]
            state.select(torch.arange(len(batch), device=self._model.device))
            inputs, targets = self._tensors(batch, documents)
            yield batch, self._score(self._model(inputs, state=state), targets)

    def _document_batches(self, documents: Sequence[Tokens]) -> Iterator[list[int]]:
        """Indices of documents of similar length, the longest first, ``batch_tokens`` per step and batch."""
        order = sorted(range(len(documents)), key=lambda index: len(documents[index]), reverse=True)
        size = max(1, self._config.batch_tokens // self._config.window_stride_tokens)
        for start in range(0, len(order), size):
            yield order[start : start + size]

    def _window_batches(self, documents: Sequence[Tokens], max_position_embeddings: int) -> Iterator[list[Window]]:
        """Windows of similar length, the longest first, ``batch_tokens`` per batch with their padding."""
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

    def _tensors(self, batch: Sequence[Window], documents: Sequence[Tokens]) -> tuple[Tensor, Tensor]:
        """Inputs and targets of windows, int64 (n_windows, longest window), the longest window first."""
        # Right padding does not change the scores, since the model is causal.
        inputs = np.full((len(batch), len(batch[0])), self._start_token, dtype=np.int64)
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
        """Log-probability of the token and of the most likely token: (n_windows, 2, longest window)."""
        normalizer = logits.logsumexp(dim=-1)
        chosen = logits.gather(-1, targets[..., None])[..., 0]
        scores = torch.stack((chosen - normalizer, logits.amax(dim=-1) - normalizer), dim=1)
        return np.asarray(scores.double().cpu().numpy())


class NgramScorer:
    """Scores documents with an n-gram model.

    Its confidence is the logarithm of the probability mass that the longest known context keeps for itself, instead of
    backing off.
    """

    def __init__(self, model: CountedModel) -> None:
        self._model = model

    def score(self, documents: Sequence[Tokens]) -> TokenScores:
        """Every token's probability, and how confident the model was at its position."""
        found = self._model.score_documents(documents)
        return TokenScores(found.log_probabilities, found.confidence)


Scorer = NeuralScorer | NgramScorer


def cut_windows(document: int, length: int, max_position_embeddings: int, stride: int) -> Iterator[Window]:
    """Cover a document with windows that score every position once, with as much context as the stride leaves."""
    end = scored_from = 0
    while scored_from < length:
        end = min(length, end + stride if end else max_position_embeddings)
        yield Window(document, max(0, end - max_position_embeddings), end, scored_from)
        scored_from = end
