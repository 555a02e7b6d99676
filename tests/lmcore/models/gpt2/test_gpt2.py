"""GPT-2 keeps the promises of every causal model."""

import pytest
import torch

from lmcore.config.published_models import GPT2Config
from lmcore.config.tokenize import BytePairConfig
from lmcore.models.gpt2.model import GPT2
from lmcore.tokens.tokenizer.training import train_tokenizer
from tests.lmcore.models.causal_checks import (
    LENGTH,
    check_that_bfloat16_comes_close,
    check_that_it_knows_nothing,
    check_that_left_padded_sequences_are_read_as_if_alone,
    check_that_loss_is_the_cross_entropy_of_the_logits,
    check_that_operations_are_those_that_torch_counts,
    check_that_parts_have_the_logits_of_the_whole,
    check_that_selected_rows_of_a_state_go_on,
)

TEXTS = ["The quick brown fox jumps over the lazy dog.\n    return self.value", "Ein schöner Tag , don 't ."] * 20
TOKENIZER = train_tokenizer(TEXTS, BytePairConfig(kind="byte_pair", vocabulary_size=280))
VOCABULARY = TOKENIZER.vocabulary
CONFIG = GPT2Config(
    family="gpt2", hidden_size=16, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=12, dropout=0.0
)


def make_model(**changes: object) -> GPT2:
    """A small model with perturbed weights, so that biases have an effect."""
    torch.manual_seed(0)
    model = GPT2(CONFIG.model_copy(update=changes), VOCABULARY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model.eval()


def draw_tokens(*shape: int) -> torch.Tensor:
    return torch.randint(VOCABULARY.size, shape, generator=torch.Generator().manual_seed(1))


def test_cached_logits_equal_those_of_the_whole_sequence() -> None:
    check_that_parts_have_the_logits_of_the_whole(make_model(), draw_tokens(3, LENGTH))


def test_left_padded_sequences_are_read_as_if_alone() -> None:
    check_that_left_padded_sequences_are_read_as_if_alone(make_model(), draw_tokens(3, 10))


def test_selected_rows_of_a_state_go_on_as_they_were() -> None:
    check_that_selected_rows_of_a_state_go_on(make_model(), draw_tokens(3, 6))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_loss_is_the_cross_entropy_of_the_logits(label_smoothing: float) -> None:
    check_that_loss_is_the_cross_entropy_of_the_logits(make_model(), draw_tokens(2, LENGTH), label_smoothing)


def test_an_untrained_model_knows_nothing() -> None:
    torch.manual_seed(0)
    check_that_it_knows_nothing(GPT2(CONFIG, VOCABULARY), draw_tokens(4, LENGTH))


def test_activations_in_bfloat16_come_close() -> None:
    check_that_bfloat16_comes_close(make_model(), draw_tokens(2, LENGTH))


def test_too_long_a_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="13 tokens do not fit the context of 12"):
        make_model()(draw_tokens(1, 13))


def test_the_operations_of_training_are_those_that_torch_counts() -> None:
    check_that_operations_are_those_that_torch_counts(
        make_model(), draw_tokens(3, LENGTH), CONFIG.num_hidden_layers, CONFIG.hidden_size
    )
