"""GPT-2's decoding gives the logits of the whole sequence, always with the current weights."""

from typing import Any

import pytest
import torch

from tests.lmcore.models.small_models import draw_tokens, make_model


@pytest.mark.parametrize("is_padded", [False, True])
def test_logits_of_parts_equal_those_of_the_whole_sequence(*, is_padded: bool) -> None:
    model: Any = make_model("gpt2")
    tokens = draw_tokens(3, 12)
    mask = torch.arange(12) >= torch.tensor([[0], [4], [1]]) if is_padded else None
    expected = model(tokens, mask=mask)
    with torch.inference_mode():
        state, read = model.new_state(3), 0
        for n_new in (5, 1, 1, 4, 1):
            end = read + n_new
            logits = model(tokens[:, read:end], mask=None if mask is None else mask[:, :end], state=state)
            torch.testing.assert_close(logits, expected[:, read:end], rtol=1e-4, atol=1e-5)
            read = end
        assert model.decoding_weights(state) is not None
        with pytest.raises(ValueError, match="13 tokens do not fit"):
            model.next_logits(tokens[:, :1], state=state)


def test_weights_that_change_while_a_state_is_in_use_are_prepared_again() -> None:
    model: Any = make_model("gpt2")
    tokens, state = draw_tokens(2, 4), model.new_state(2)
    with torch.inference_mode():
        model(tokens[:, :3], state=state)
        before = model.decoding_weights(state)
        assert model.decoding_weights(state) is before
    with torch.no_grad():
        model.blocks[1].feed_forward.output.weight.mul_(3.0)
    with torch.inference_mode():
        logits = model.next_logits(tokens[:, 3:], state=state)
    torch.testing.assert_close(logits, model(tokens)[:, 3], rtol=1e-4, atol=1e-5)


def test_layers_are_called_in_training_and_where_gradients_may_flow() -> None:
    model: Any = make_model("gpt2")
    state = model.new_state(1)
    assert model.decoding_weights(state) is None
    with torch.inference_mode():
        assert model.decoding_weights(state) is not None
        assert model.train().decoding_weights(state) is None
