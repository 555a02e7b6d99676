import numpy as np
import pytest
import torch
from torch import nn

from lmcore.config.evaluate import LikelihoodConfig
from lmcore.evaluation.language_models.likelihood import HeldOutDocuments
from lmcore.evaluation.language_models.scoring import NeuralScorer, cut_windows
from lmcore.models.generative import CausalModel
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

VOCABULARY_SIZE, END, CONTEXT_LENGTH = 11, 10, 8


VOCABULARY = Vocabulary(size=VOCABULARY_SIZE, end_of_text_id=END, padding_id=0, mask_id=0)


class TokensSoFar:
    def __init__(self, batch_size: int) -> None:
        self.tokens, self.length = torch.empty(batch_size, 0, dtype=torch.int64), 0

    def select(self, rows: torch.Tensor) -> None:
        self.tokens = self.tokens[rows]


class CausalConvolution(CausalModel):
    """Logits from the last ``reach`` tokens: a causal model whose memory is exactly known."""

    def __init__(self, reach: int, max_position_embeddings: int | None = CONTEXT_LENGTH) -> None:
        super().__init__(None, VOCABULARY)
        self.max_position_embeddings = max_position_embeddings
        torch.manual_seed(0)
        self.embedding = nn.Embedding(VOCABULARY_SIZE, 16)
        self.convolution = nn.Conv1d(16, VOCABULARY_SIZE, reach)
        self.reach = reach

    def new_state(self, batch_size: int) -> TokensSoFar:
        return TokensSoFar(batch_size)

    def forward(self, tokens, *, mask=None, state=None):
        n_new = tokens.size(1)
        if state is not None:
            tokens = state.tokens = torch.cat((state.tokens, tokens), dim=1)
        hidden = nn.functional.pad(self.embedding(tokens).transpose(1, 2), (self.reach - 1, 0))
        return self.convolution(hidden).transpose(1, 2)[:, -n_new:] * 3


def random_documents(*lengths: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [np.append(generator.integers(0, END, length - 1), END).astype(np.uint16) for length in lengths]


def make_scorer(model: nn.Module, *, stride: int, batch_tokens: int) -> NeuralScorer:
    config = LikelihoodConfig(
        max_documents=1,
        context="document",
        max_masked_documents=1,
        max_masked_tokens=1,
        window_stride_tokens=stride,
        batch_tokens=batch_tokens,
    )
    return NeuralScorer(model, config=config)


def one_by_one(model: nn.Module, document: np.ndarray, max_position_embeddings: int) -> list[float]:
    """Every token by a forward pass of its own, with all the context that fits."""
    sequence = [END, *document.tolist()]
    values = []
    for position in range(1, len(sequence)):
        context = torch.tensor([sequence[max(0, position - max_position_embeddings) : position]])
        values.append(model(context)[0, -1].log_softmax(-1)[sequence[position]].item())
    return values


@pytest.mark.parametrize("batch_tokens", [1, 20, 1000])
@pytest.mark.parametrize("stride", [1, 3, 5])
def test_strides_and_batches_do_not_change_the_scores_of_a_model_with_short_memory(stride, batch_tokens):
    # With a stride of 5 every token still has 3 tokens of context: all that this model reads.
    model = CausalConvolution(reach=3)
    documents = random_documents(1, 2, 7, 8, 9, 31, 16, 5)
    scored = make_scorer(model, stride=stride, batch_tokens=batch_tokens).log_probabilities(documents)
    for document, values in zip(documents, scored, strict=True):
        whole = model(torch.tensor([[END, *document[:-1].tolist()]]))[0].log_softmax(-1).detach().numpy()
        np.testing.assert_allclose(values, whole[np.arange(len(document)), document], rtol=1e-5)


def test_a_stride_of_one_gives_every_token_all_the_context_there_is_room_for():
    model = CausalConvolution(reach=CONTEXT_LENGTH)
    document = random_documents(20)[0]
    scored = make_scorer(model, stride=1, batch_tokens=50).log_probabilities([document])[0]
    np.testing.assert_allclose(scored, one_by_one(model, document, CONTEXT_LENGTH), rtol=1e-5)


@pytest.mark.parametrize("batch_tokens", [1, 10, 1000])
@pytest.mark.parametrize("stride", [1, 4, 100])
def test_a_model_that_carries_a_state_reads_each_document_as_a_whole(stride, batch_tokens):
    model = CausalConvolution(reach=30, max_position_embeddings=None)
    documents = random_documents(1, 9, 4, 31, 5, 12)
    scored = make_scorer(model, stride=stride, batch_tokens=batch_tokens).log_probabilities(documents)
    for document, values in zip(documents, scored, strict=True):
        whole = model(torch.tensor([[END, *document[:-1].tolist()]]))[0].log_softmax(-1).detach().numpy()
        np.testing.assert_allclose(values, whole[np.arange(len(document)), document], rtol=1e-4)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 20])
@pytest.mark.parametrize("stride", [1, 4, 8])
def test_windows_score_every_position_once_and_fit_the_context(length, stride):
    windows = list(cut_windows(0, length, CONTEXT_LENGTH, stride))
    assert [position for w in windows for position in range(w.scored_from, w.end)] == list(range(length))
    assert all(len(window) <= CONTEXT_LENGTH for window in windows)
    context_lengths = [window.scored_from - window.start for window in windows[1:]]
    assert all(n_context >= CONTEXT_LENGTH - stride for n_context in context_lengths)


def test_the_confidence_is_the_highest_probability_whatever_the_token():
    model = CausalConvolution(reach=2)
    documents = random_documents(6, 4)
    scores = make_scorer(model, stride=4, batch_tokens=100).score(documents)
    inputs = torch.tensor([[END, *documents[0][:-1].tolist()]])
    expected = model(inputs)[0].log_softmax(-1).amax(-1)
    np.testing.assert_allclose(scores.confidence[:6], expected.detach(), rtol=1e-5)
    assert np.all(scores.log_probabilities <= scores.confidence)


def test_a_stride_longer_than_the_context_is_an_error():
    with pytest.raises(ValueError, match=r"window_stride_tokens is 9, .* Use at most 8"):
        make_scorer(CausalConvolution(2), stride=9, batch_tokens=10)


def test_documents_of_a_stream_are_read_as_the_continuation_of_those_before_them():
    model = CausalConvolution(reach=6, max_position_embeddings=None)
    documents = random_documents(3, 1, 7, 4)
    stream = HeldOutDocuments(
        tuple("abcd"), tuple(documents), np.ones(4, dtype=np.int64), np.ones(4, dtype=np.int64), is_stream=True
    )
    scores = make_scorer(model, stride=2, batch_tokens=6).score(stream.texts)
    whole = np.concatenate(documents).astype(np.int64)
    inputs = torch.tensor([[END, *whole[:-1].tolist()]])
    expected = model(inputs)[0].log_softmax(-1).detach().numpy()[np.arange(len(whole)), whole]
    np.testing.assert_allclose(scores.log_probabilities, expected, rtol=1e-4)
    assert stream.bits(scores.log_probabilities).shape == (4,)
