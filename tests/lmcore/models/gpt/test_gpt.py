"""The GPT is causal, and gives the same result with a cache."""

import pytest
import torch
from pydantic import ValidationError

from lmcore.config.models import GPTConfig
from lmcore.models.gpt.model import GPT
from lmcore.tokens.tokenizer.vocabulary import Vocabulary
from tests.lmcore.models.causal_checks import (
    LENGTH,
    check_that_it_knows_nothing,
    check_that_loss_is_the_cross_entropy_of_the_logits,
    check_that_operations_are_those_that_torch_counts,
    check_that_parts_have_the_logits_of_the_whole,
)

VOCABULARY = Vocabulary(size=23, end_of_text_id=0, padding_id=1, mask_id=2)
CONFIG = GPTConfig(
    family="gpt",
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=2,
    intermediate_size=32,
    hidden_act="relu2",
    max_position_embeddings=12,
    dropout=0.0,
    tie_word_embeddings=True,
    use_residual_mixing=True,
    use_value_embeddings=True,
    use_token_shift=True,
    ngram_head_order=0,
    final_logit_softcapping=15.0,
    rope_theta=10000.0,
)
VARIANTS = {
    "default": {},
    "swiglu": {"hidden_act": "swiglu"},
    "untied": {"tie_word_embeddings": False},
    "grouped": {"num_attention_heads": 4, "num_key_value_heads": 2},
    "n-gram heads": {"ngram_head_order": 3},
    "plain": {
        "use_residual_mixing": False,
        "use_value_embeddings": False,
        "use_token_shift": False,
        "final_logit_softcapping": None,
    },
}


def make_model(seed: int = 0, **changes: object) -> GPT:
    """A small model with perturbed weights, so that every path has an effect."""
    torch.manual_seed(seed)
    model = GPT(CONFIG.model_copy(update=changes), VOCABULARY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model.eval()


def draw_tokens(*shape: int) -> torch.Tensor:
    return torch.randint(VOCABULARY.size, shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("variant", VARIANTS)
def test_later_tokens_do_not_change_earlier_logits(variant: str) -> None:
    model, tokens = make_model(**VARIANTS[variant]), draw_tokens(2, 12)
    changed = tokens.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % VOCABULARY.size
    torch.testing.assert_close(model(tokens)[:, :7], model(changed)[:, :7])
    assert not torch.allclose(model(tokens)[:, 7:], model(changed)[:, 7:])


@pytest.mark.parametrize("variant", VARIANTS)
def test_cached_logits_equal_those_of_the_whole_sequence(variant: str) -> None:
    check_that_parts_have_the_logits_of_the_whole(make_model(**VARIANTS[variant]), draw_tokens(3, LENGTH))


@pytest.mark.parametrize("variant", VARIANTS)
def test_loss_is_the_cross_entropy_of_the_logits(variant: str) -> None:
    check_that_loss_is_the_cross_entropy_of_the_logits(make_model(**VARIANTS[variant]), draw_tokens(2, LENGTH))


def test_an_untrained_model_knows_nothing() -> None:
    torch.manual_seed(0)
    check_that_it_knows_nothing(GPT(CONFIG, VOCABULARY), draw_tokens(4, LENGTH))


def test_too_long_a_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="13 tokens do not fit the context of 12"):
        make_model()(draw_tokens(1, 13))


@pytest.mark.parametrize("num_attention_heads", [3, 5, 16])
def test_heads_that_do_not_divide_the_hidden_size_are_refused(num_attention_heads: int) -> None:
    with pytest.raises(ValidationError, match="expected one of 1, 2, 4, 8"):
        GPTConfig.model_validate(CONFIG.model_dump() | {"num_attention_heads": num_attention_heads})


@pytest.mark.parametrize("variant", ["default", "untied", "plain"])
def test_the_operations_of_training_are_those_that_torch_counts(variant: str) -> None:
    check_that_operations_are_those_that_torch_counts(
        make_model(**VARIANTS[variant]), draw_tokens(3, LENGTH), CONFIG.num_hidden_layers, CONFIG.hidden_size
    )
