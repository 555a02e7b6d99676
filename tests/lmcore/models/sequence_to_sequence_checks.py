"""What every encoder-decoder promises, whatever its architecture."""

import pytest
import torch

from lmcore.models.encoder_decoder_transformer import EncoderDecoderTransformer


@torch.no_grad()
def check_that_parts_have_the_logits_of_the_whole(
    model: EncoderDecoderTransformer, source: torch.Tensor, tokens: torch.Tensor
) -> None:
    """Sources (3, length) and target tokens (3, 12), which is the model's context."""
    state = model.new_state(source)
    parts = [model(part, state=state) for part in tokens.split([1, 1, 5, 4, 1], dim=1)]
    assert state.length == 12
    expected = model.output_logits(model.target_hidden_states(source, tokens))
    torch.testing.assert_close(torch.cat(parts, dim=1), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="13 tokens do not fit the context of 12"):
        model(tokens[:, :1], state=state)


@torch.no_grad()
def check_that_selected_rows_of_a_state_go_on(
    model: EncoderDecoderTransformer, source: torch.Tensor, tokens: torch.Tensor
) -> None:
    """Sources (3, length) and target tokens (3, 6)."""
    state, rows = model.new_state(source), torch.tensor([2, 0, 2, 1])
    model(tokens[:, :5], state=state)
    state.select(rows)
    expected = model.next_logits(tokens, state=model.new_state(source))[rows]
    torch.testing.assert_close(model.next_logits(tokens[rows, 5:], state=state), expected, rtol=1e-4, atol=1e-5)
