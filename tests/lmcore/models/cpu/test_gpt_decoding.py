"""The GPT's decoding step gives the logits of the whole sequence, always with the current weights."""

import pytest
import torch

from tests.lmcore.models.gpt.test_gpt import VARIANTS, draw_tokens, make_model


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("is_padded", [False, True])
def test_logits_of_single_steps_equal_those_of_the_whole_sequence(variant: str, *, is_padded: bool) -> None:
    model, tokens = make_model(**VARIANTS[variant]), draw_tokens(3, 12)
    mask = torch.arange(12) >= torch.tensor([[0], [4], [1]]) if is_padded else None
    with torch.inference_mode():
        expected = model(tokens, mask=mask)
        state = model.new_state(3)
        model(tokens[:, :5], mask=None if mask is None else mask[:, :5], state=state)
        for position in range(5, 12):
            seen = None if mask is None else mask[:, : position + 1]
            logits = model.next_logits(tokens[:, position : position + 1], mask=seen, state=state)
            torch.testing.assert_close(logits, expected[:, position], rtol=1e-4, atol=1e-5)
        assert model.decoding_weights(state) is not None
        with pytest.raises(ValueError, match="13 tokens do not fit"):
            model.next_logits(tokens[:, :1], state=state)


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_that_change_while_a_state_is_in_use_are_prepared_again(variant: str) -> None:
    model, tokens = make_model(**VARIANTS[variant]), draw_tokens(2, 4)
    state = model.new_state(2)
    with torch.inference_mode():
        model(tokens[:, :2], state=state)
        model.next_logits(tokens[:, 2:3], state=state)
        before = model.decoding_weights(state)
        assert model.decoding_weights(state) is before
    with torch.no_grad():
        model.blocks[1].feed_forward.output.weight.mul_(3.0)
    with torch.inference_mode():
        assert model.decoding_weights(state) is not before
        logits = model.next_logits(tokens[:, 3:], state=state)
    # The keys and values of this model's earlier positions do not depend on the last feed-forward layer.
    torch.testing.assert_close(logits, model(tokens)[:, 3], rtol=1e-4, atol=1e-5)


def test_layers_are_called_in_training_and_where_gradients_may_flow() -> None:
    model = make_model()
    state = model.new_state(1)
    assert model.decoding_weights(state) is None
    with torch.inference_mode():
        assert model.decoding_weights(state) is not None
        assert model.train().decoding_weights(state) is None
