"""Every recurrent family learns a stream batch by batch, through one interface."""

import itertools
import math

import pytest
import torch

from lmcore.config.base import Config
from lmcore.config.models import HMMConfig, LSTMConfig
from lmcore.models.families import build_model
from lmcore.models.generative import RecurrentModel
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

VOCABULARY = Vocabulary(size=9, end_of_text_id=0, padding_id=1, mask_id=2)
CONFIGS = {
    "hmm": HMMConfig(family="hmm", num_states=24, emission_rank=None),
    "lstm": LSTMConfig(
        family="lstm",
        embedding_size=24,
        hidden_size=24,
        num_hidden_layers=1,
        tie_word_embeddings=True,
        embedding_dropout=0.0,
        input_dropout=0.0,
        hidden_dropout=0.0,
        output_dropout=0.0,
        weight_dropout=0.0,
        activation_regularization=0.0,
        temporal_regularization=0.0,
    ),
}
RATES = {"hmm": 20.0, "lstm": 1.0}
CYCLE = (0, 3, 4, 3, 5, 3, 6, 7)
"""The token after a 3 depends on the token before the 3."""
BATCH_SIZE, LENGTH = 4, 6


def stream_batch(step: int) -> torch.Tensor:
    """The next tokens of four streams, (batch, length + 1), the last one the first of the next batch."""
    indices = torch.arange(step * LENGTH, (step + 1) * LENGTH + 1) + 2 * torch.arange(BATCH_SIZE).unsqueeze(1)
    return torch.tensor(CYCLE)[indices % len(CYCLE)]


def build(config: Config) -> RecurrentModel:
    torch.manual_seed(0)
    model = build_model(config, VOCABULARY)
    assert isinstance(model, RecurrentModel)
    return model


@pytest.mark.parametrize("family", CONFIGS)
def test_a_stream_read_in_batches_is_learned_with_the_state_carried(family: str) -> None:
    model = build(CONFIGS[family]).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATES[family])
    state, losses = model.new_state(BATCH_SIZE), []
    for step in range(300):
        batch = stream_batch(step)
        loss, state = model.loss_and_state(batch[:, :-1], batch[:, 1:], state)
        loss = loss / batch[:, 1:].numel()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 1.0
    # Without any memory a 3 would leave three choices, three times in eight tokens.
    assert sum(losses[-10:]) / 10 < 0.5 * 3 / 8 * math.log(3)
    assert state.length == 300 * LENGTH


@pytest.mark.parametrize("family", CONFIGS)
def test_training_twice_gives_the_same_weights_bit_by_bit(family: str) -> None:
    weights = []
    for _ in range(2):
        model = build(CONFIGS[family]).train()
        state = model.new_state(BATCH_SIZE)
        for step in range(3):
            batch = stream_batch(step)
            loss, state = model.loss_and_state(batch[:, :-1], batch[:, 1:], state)
            model.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.grad is not None:  # the initial state has a gradient in the first batch only
                        parameter.sub_(parameter.grad, alpha=0.01)
        weights.append([parameter.detach() for parameter in model.parameters()])
    assert all(itertools.starmap(torch.equal, zip(*weights, strict=True)))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_recurrent_family_refuses_packed_documents(name: str) -> None:
    model = build_model(CONFIGS[name], VOCABULARY)
    assert isinstance(model, RecurrentModel)
    tokens = torch.tensor([[3, 4, 0, 5]])
    with pytest.raises(ValueError, match="carries its state from document to document"):
        model.loss(tokens, tokens, document_ids=(tokens == 0).cumsum(dim=1))
