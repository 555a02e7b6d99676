"""GPT-2 keeps the promises of every causal model."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lmcore.config.published_models import GPT2Config
from lmcore.config.tokenize import BytePairConfig
from lmcore.models.gpt2.model import GPT2
from lmcore.tokens.tokenizer.training import train_tokenizer

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


@torch.no_grad()
def test_cached_logits_equal_those_of_the_whole_sequence() -> None:
    model, tokens = make_model(), draw_tokens(3, 12)
    state = model.new_state(3)
    parts = [model(part, state=state) for part in tokens.split([5, 1, 4, 1, 1], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_left_padded_sequences_are_read_as_if_alone() -> None:
    model, tokens = make_model(), draw_tokens(3, 10)
    lengths = [10, 3, 7]
    mask = torch.arange(10) >= 10 - torch.tensor(lengths)[:, None]
    whole = model(tokens, mask=mask)
    state = model.new_state(3)
    parts = [model(tokens[:, :8], mask=mask[:, :8], state=state), model(tokens[:, 8:9], mask=mask[:, :9], state=state)]
    parts.append(model(tokens[:, 9:], mask=mask, state=state))
    for row, length in enumerate(lengths):
        alone = model(tokens[row : row + 1, -length:])[0]
        torch.testing.assert_close(whole[row, -length:], alone, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(torch.cat(parts, dim=1)[row, -length:], alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_selected_rows_of_a_state_go_on_as_they_were() -> None:
    model, tokens = make_model(), draw_tokens(3, 6)
    state = model.new_state(3)
    model(tokens[:, :5], state=state)
    rows = torch.tensor([2, 0, 2, 1])
    state.select(rows)
    torch.testing.assert_close(
        model.next_logits(tokens[rows, 5:], state=state), model.next_logits(tokens)[rows], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_loss_is_the_cross_entropy_of_the_logits(label_smoothing: float) -> None:
    model, tokens = make_model(), draw_tokens(2, 12)
    targets = draw_tokens(2, 12).roll(1)
    targets[0, :4] = -100
    expected = torch.nn.functional.cross_entropy(
        model(tokens).transpose(1, 2), targets, reduction="sum", label_smoothing=label_smoothing
    )
    torch.testing.assert_close(
        model.loss(tokens, targets, label_smoothing=label_smoothing), expected, rtol=1e-4, atol=1e-4
    )


def test_an_untrained_model_knows_nothing() -> None:
    torch.manual_seed(0)
    model, tokens = GPT2(CONFIG, VOCABULARY), draw_tokens(4, 12)
    loss = model.loss(tokens, tokens.roll(-1, 1)) / tokens.numel()
    assert loss.item() == pytest.approx(torch.tensor(float(VOCABULARY.size)).log().item(), abs=0.1)


def test_activations_in_bfloat16_come_close() -> None:
    model, tokens = make_model(), draw_tokens(2, 12)
    accurate = model.loss(tokens, tokens.roll(-1, 1))
    model.compute_in(torch.bfloat16)
    assert model.new_state(1).keys[0].dtype == torch.bfloat16
    rough = model.loss(tokens, tokens.roll(-1, 1))
    rough.backward()
    torch.testing.assert_close(rough, accurate, rtol=0.02, atol=0)
    assert all(parameter.grad.dtype == torch.float32 for parameter in model.parameters())


def test_too_long_a_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="13 tokens do not fit the context of 12"):
        make_model()(draw_tokens(1, 13))


def test_the_operations_of_training_are_those_that_torch_counts() -> None:
    model, tokens = make_model(), draw_tokens(3, CONFIG.max_position_embeddings)
    with FlopCounterMode(display=False) as counter:
        model.loss(tokens, tokens.roll(-1, 1)).backward()
    # What is computed and thrown away, attention's look into the future, is not needed for training.
    future = 6 * CONFIG.num_hidden_layers * CONFIG.hidden_size * CONFIG.max_position_embeddings
    assert counter.get_total_flops() / tokens.numel() == model.flops_per_token() + future
