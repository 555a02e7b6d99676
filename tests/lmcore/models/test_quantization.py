"""A model with 8-bit weights computes nearly the same, and says if it cannot."""

from typing import Any

import pytest
import torch

from lmcore.generation import generate
from lmcore.models.generative import CausalModel
from lmcore.models.lora import add_lora, merge_and_unload
from lmcore.models.quantization import load_in_8bit
from tests.lmcore.generation.toy_models import settings
from tests.lmcore.models.small_models import draw_tokens, make_model

SIZE = {"hidden_size": 64, "num_attention_heads": 4}


def make_causal(family: str) -> CausalModel:
    model: Any = make_model(family, **SIZE)
    assert isinstance(model, CausalModel)
    return model


@pytest.mark.parametrize("family", ["gpt", "gpt2"])
def test_logits_change_little_but_change(family: str) -> None:
    model, tokens = make_causal(family), draw_tokens(3, 12)
    with torch.inference_mode():
        exact = model(tokens).log_softmax(dim=-1)
        load_in_8bit(model)
        rounded = model(tokens).log_softmax(dim=-1)
    difference = (exact - rounded).abs().mean()
    assert 0 < difference < 0.1 * exact.std()


@pytest.mark.parametrize("family", ["gpt", "gpt2"])
def test_reading_after_a_state_gives_the_logits_of_the_whole_sequence(family: str) -> None:
    model, tokens = make_causal(family), draw_tokens(1, 12)
    load_in_8bit(model)
    with torch.inference_mode():
        state: Any = model.new_state(1)
        parts = [model(part, state=state) for part in tokens.split([5, 1, 6], dim=1)]
        # One scale for all rows: it differs with the rows that are read at once.
        torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens), rtol=0.2, atol=0.3)


def test_it_generates() -> None:
    model = make_causal("gpt")
    load_in_8bit(model)
    assert not model.reads_alike
    assert all(len(answer) <= 6 for answer in generate(model, [[3, 4, 5], [6]], settings()))


def test_a_family_that_cannot_says_so() -> None:
    with pytest.raises(ValueError, match="BERT has no 8-bit weights: only families gpt and gpt2"):
        load_in_8bit(make_model("bert"))


def test_adapters_have_to_be_merged_first() -> None:
    model = make_causal("gpt")
    add_lora(model, rank=2, alpha=4.0, dropout=0.0, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="merge them first"):
        load_in_8bit(model)
    merge_and_unload(model)
    load_in_8bit(model)
