"""Generative models prepare prompts of any length, and score texts of any length."""

import pytest
import torch

from lmcore.models.generative import prompt_limit
from tests.lmcore.models.gpt.test_gpt import draw_tokens
from tests.lmcore.models.gpt.test_gpt import make_model as make_gpt
from tests.lmcore.models.lstm.test_lstm import make_model as make_lstm
from tests.lmcore.models.small_models import make_model


def test_prompts_of_a_causal_model_are_left_padded_and_lose_their_first_tokens() -> None:
    inputs = make_gpt().prepare_inputs([[5, 6, 7, 8], [9], []], max_new_tokens=9)
    assert inputs.tokens.tolist() == [[6, 7, 8], [1, 1, 9], [1, 1, 0]]
    assert inputs.is_text is not None
    assert inputs.is_text.tolist() == [[True, True, True], [False, False, True], [False, False, True]]
    assert inputs.state.length == 0
    assert make_gpt().prepare_inputs([[5, 6], [7, 8]], max_new_tokens=9).is_text is None


def test_a_prompt_of_a_model_without_a_context_limit_is_never_truncated() -> None:
    assert make_lstm().prepare_inputs([[3] * 50], max_new_tokens=100).tokens.size(1) == 50


def test_prompts_of_a_sequence_to_sequence_model_are_its_sources_and_lose_their_last_tokens() -> None:
    model = make_model("encoder_decoder")
    inputs = model.prepare_inputs([list(range(3, 18)), [4]], max_new_tokens=5)
    assert inputs.tokens.tolist() == [[0], [0]]
    assert inputs.is_text is None
    source = torch.tensor([list(range(3, 15)), [4, *[1] * 11]])
    torch.testing.assert_close(inputs.state.source_keys[0], model.new_state(source).source_keys[0])


def test_an_answer_as_long_as_the_context_leaves_no_room_for_a_prompt() -> None:
    assert prompt_limit(12, 11) == 1
    assert prompt_limit(None, 10**6) is None
    for model in (make_gpt(), make_model("encoder_decoder")):
        with pytest.raises(ValueError, match="max_new_tokens 12 leaves no room for a prompt in the context of 12"):
            model.prepare_inputs([[3]], max_new_tokens=12)


def test_a_sequence_to_sequence_model_scores_no_text_without_a_source() -> None:
    with pytest.raises(ValueError, match="EncoderDecoder cannot score a text without a source"):
        make_model("encoder_decoder").token_log_probabilities([3, 4])


def test_a_text_longer_than_the_context_is_scored_in_windows() -> None:
    model = make_gpt()
    tokens = draw_tokens(31).tolist()
    inputs = [0, *tokens]
    expected = []
    for position, token in enumerate(tokens):
        start = 0 if position < 12 else (position - 12) // 6 * 6 + 6
        with torch.no_grad():
            logits = model(torch.tensor([inputs[start : position + 1]]))[0, -1]
        expected.append(float(logits.log_softmax(dim=-1)[token]))
    assert model.token_log_probabilities(tokens) == pytest.approx(expected, abs=1e-4)
