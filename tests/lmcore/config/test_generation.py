"""Settings of generation that contradict each other are refused, at the field that has to change."""

import pytest
from pydantic import ValidationError

from lmcore.config.generation import GenerationConfig
from tests.lmcore.generation.toy_models import GREEDY, settings

SAMPLING = {"do_sample": True, "temperature": 0.7, "seed": 1}


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"top_k": 5}, "top_k", "only sampling uses top_k; set it to null, or do_sample to true"),
        ({"temperature": 0.7}, "temperature", "only sampling uses temperature"),
        ({"seed": 1}, "seed", "only sampling uses seed"),
        (SAMPLING | {"num_beams": 4, "length_penalty": 1.0}, "do_sample", "beam search does not sample"),
        (SAMPLING | {"temperature": 0.0}, "temperature", "for greedy decoding set do_sample to false"),
        (SAMPLING | {"temperature": None}, "temperature", "sampling needs a temperature"),
        (SAMPLING | {"seed": None}, "seed", "sampling needs a seed"),
        ({"length_penalty": 1.0}, "length_penalty", "only beam search uses length_penalty"),
        ({"num_beams": 4}, "length_penalty", "beam search needs a length_penalty"),
    ],
)
def test_a_contradiction_is_an_error_that_says_what_to_set(
    changes: dict[str, object], field: str, message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        GenerationConfig.model_validate(GREEDY | changes)
    (error,) = caught.value.errors()
    assert error["loc"] == (field,)
    assert message in error["msg"]


def test_greedy_decoding_keeps_limits_and_stops_and_is_valid() -> None:
    config = settings(temperature=0.7, top_k=5, max_new_tokens=3, stop_strings=("a",)).greedy()
    assert config == settings(max_new_tokens=3, stop_strings=("a",))
    assert GenerationConfig.model_validate(config.model_dump()) == config
