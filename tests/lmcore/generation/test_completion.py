"""A completion ends with the first of its criteria, and keeps what belongs to the text."""

import math

import torch

from lmcore.generation.completion import Completion, StoppingCriteria, top_logprobs_of

CRITERIA = StoppingCriteria(token_reasons={0: "end_of_text", 9: "stop"}, max_new_tokens=4, ends_text=None)


def completed(tokens: list[int], criteria: StoppingCriteria = CRITERIA) -> Completion:
    """The completion of as many of the tokens as it takes to end it."""
    completion = Completion()
    for token in tokens:
        if completion.finish_reason is None:
            completion.append(token, -float(token), criteria)
    return completion


def test_the_token_that_ends_a_completion_has_a_log_probability_but_is_no_part_of_it() -> None:
    for token, reason in ((0, "end_of_text"), (9, "stop")):
        found = completed([5, 6, token, 7])
        assert (found.tokens, found.finish_reason) == ([5, 6], reason)
        assert found.logprobs == [-5.0, -6.0, -float(token)]


def test_a_completion_without_an_end_has_the_length_that_was_set() -> None:
    assert completed([5, 6, 7]).finish_reason is None
    found = completed([5, 6, 7, 8, 5])
    assert (found.tokens, found.finish_reason) == ([5, 6, 7, 8], "length")
    assert completed([5, 6, 7, 0]).finish_reason == "end_of_text"


def test_a_stop_string_ends_a_completion_with_its_tokens_also_at_the_last_token() -> None:
    criteria = StoppingCriteria(
        {0: "end_of_text"}, max_new_tokens=4, ends_text=lambda tokens: list(tokens[-2:]) == [6, 7]
    )
    found = completed([5, 6, 7, 8], criteria)
    assert (found.tokens, found.finish_reason) == ([5, 6, 7], "stop")
    assert completed([5, 5, 6, 7], criteria).finish_reason == "stop"


def test_the_most_probable_tokens_come_first_with_the_logarithms_of_their_probabilities() -> None:
    probabilities = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]])
    first, second = top_logprobs_of(probabilities.log() + 7.0, 2)
    assert (first.tokens, second.tokens) == ((1, 2), (0, 2))
    torch.testing.assert_close(torch.tensor(first.logprobs), torch.tensor([math.log(0.6), math.log(0.3)]))
    assert [len(row.tokens) for row in top_logprobs_of(probabilities, 10)] == [3, 3]
