"""No token of a packed sequence sees another document: not a bit of its logits depends on one."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from lmcore.models.generative import CausalModel
from lmcore.models.trainable import TrainableModel
from tests.lmcore.models.small_models import CONFIGS, VOCABULARY, draw_tokens, make_model

BOUNDS = [0, 37, 38, 150, 200]
"""Where the documents of the test's sequence begin, and where the last one ends."""
DTYPES = [torch.float32, torch.bfloat16]


def make_large(family: str, length: int = 200) -> TrainableModel:
    """A model with layers large enough for the blocked and vectorized code of matrix products."""
    return make_model(family, hidden_size=64, num_attention_heads=4, max_position_embeddings=length)


def ids_of(bounds: list[int]) -> Tensor:
    return torch.cat([torch.full((end - start,), number) for number, (start, end) in enumerate(pairwise(bounds))])[None]


def logits_of(model: TrainableModel, tokens: Tensor, ids: Tensor | None) -> Tensor:
    """The logits of packed documents; those of an encoder-decoder that restores its own source."""
    if model.objective == "corrupted_spans":
        shifted = model._shift_right(tokens, ids)
        return model.output_logits(
            model.target_hidden_states(tokens, shifted, document_ids=ids, target_document_ids=ids)
        )
    if model.objective == "masked_tokens":
        return model(tokens) if ids is None else model.output_logits(model.packed_features(tokens, ids))
    return model.output_logits(model.hidden_states(tokens, document_ids=ids))


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("is_training", [False, True])
def test_changing_one_document_changes_no_bit_of_the_others(
    family: str, dtype: torch.dtype, *, is_training: bool
) -> None:
    model, tokens, ids = make_large(family), draw_tokens(1, BOUNDS[-1]), ids_of(BOUNDS)
    model.compute_in(dtype)
    with torch.set_grad_enabled(is_training):
        before = logits_of(model, tokens, ids)
        for changed, (start, end) in enumerate(pairwise(BOUNDS)):
            other = tokens.clone()
            other[:, start:end] = (other[:, start:end] + 5) % VOCABULARY.size
            after = logits_of(model, other, ids)
            is_other = ids != changed
            assert torch.equal(before[is_other], after[is_other])
            assert not torch.equal(before[~is_other], after[~is_other])


@pytest.mark.parametrize("family", CONFIGS)
def test_long_sequences_keep_documents_apart_too(family: str) -> None:
    model, tokens, ids = make_large(family, 700), draw_tokens(1, 700), ids_of([0, 320, 700])
    other = tokens.clone()
    other[:, :320] = other[:, :320].flip(1)
    before, after = (logits_of(model, part, ids)[ids == 1] for part in (tokens, other))
    assert torch.equal(before, after)


@pytest.mark.parametrize("family", CONFIGS)
def test_a_packed_document_has_the_logits_that_it_has_alone(family: str) -> None:
    model, tokens = make_large(family), draw_tokens(1, BOUNDS[-1])
    packed = logits_of(model, tokens, ids_of(BOUNDS))
    for start, end in pairwise(BOUNDS):
        alone = logits_of(model, tokens[:, start:end], None)
        torch.testing.assert_close(packed[:, start:end], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", CONFIGS)
def test_loss_and_gradients_are_the_sum_of_those_of_the_documents(family: str) -> None:
    model, tokens, ids = make_large(family), draw_tokens(1, BOUNDS[-1]), ids_of(BOUNDS)
    targets = tokens if family != "bert" else tokens.masked_fill(tokens % 3 > 0, -100)
    documents = {"document_ids": ids} | ({"target_document_ids": ids} if model.config.reads_source else {})
    packed = gradients(model, lambda: model.loss(tokens, targets, **documents))
    parts = [(tokens[:, start:end], targets[:, start:end]) for start, end in pairwise(BOUNDS)]
    alone = gradients(model, lambda: torch.stack([model.loss(*part) for part in parts]).sum())
    torch.testing.assert_close(packed, alone, rtol=1e-3, atol=1e-2)


def gradients(model: TrainableModel, loss: Callable[[], Tensor]) -> list[Tensor]:
    total = loss()
    return [total.detach(), *torch.autograd.grad(total, [*model.parameters()])]


def test_padding_between_sources_and_targets_of_different_lengths_is_harmless() -> None:
    model = make_large("encoder_decoder")
    source, targets = draw_tokens(1, 20), draw_tokens(1, 30)
    source[:, 15:], targets[:, 25:] = VOCABULARY.padding_id, -100
    ids = torch.tensor([[0] * 5 + [1] * 10 + [-1] * 5])
    target_ids = torch.tensor([[0] * 18 + [1] * 7 + [2] * 5])
    packed = model.loss(source, targets, document_ids=ids, target_document_ids=target_ids)
    alone = model.loss(source[:, :5], targets[:, :18]) + model.loss(source[:, 5:15], targets[:, 18:25])
    torch.testing.assert_close(packed, alone, rtol=1e-5, atol=1e-4)
    packed.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_an_end_token_starts_a_document_as_in_generation() -> None:
    """A GPT that reads documents with a mask sees exactly what it sees when it completes one of them."""
    model, (first, second) = make_large("gpt"), draw_tokens(2, 9)
    assert isinstance(model, CausalModel)
    end = torch.tensor([VOCABULARY.end_of_text_id])
    packed = torch.cat((end, first, end, second))[None]
    ids = (packed == end).cumsum(dim=1)
    expected = model(torch.cat((end, second))[None])
    torch.testing.assert_close(logits_of(model, packed, ids)[:, 10:], expected, rtol=1e-4, atol=1e-4)
