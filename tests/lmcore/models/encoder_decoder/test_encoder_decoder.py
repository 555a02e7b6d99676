"""The encoder-decoder: the same numbers as torch's own Transformer, step by step as well, and able to learn."""

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lmcore.config.families import CorruptionConfig
from lmcore.config.models import EncoderDecoderConfig
from lmcore.models.encoder_decoder.model import EncoderDecoder
from lmcore.tokens.tokenizer.vocabulary import Vocabulary
from tests.lmcore.models.sequence_to_sequence_checks import (
    check_that_parts_have_the_logits_of_the_whole,
    check_that_selected_rows_of_a_state_go_on,
)

VOCABULARY = Vocabulary(size=13, end_of_text_id=0, padding_id=1, mask_id=2)
CONFIG = EncoderDecoderConfig(
    family="encoder_decoder",
    hidden_size=16,
    encoder_layers=2,
    decoder_layers=3,
    num_attention_heads=2,
    intermediate_size=40,
    max_position_embeddings=12,
    dropout=0.0,
    corruption=CorruptionConfig(noise_density=0.3, mean_noise_span_length=3.0),
)
# From torch's parameter names to this project's, in the order in which they are replaced.
NAMES = (
    ("encoder.norm.", "encoder_norm."),
    ("decoder.norm.", "decoder_norm."),
    ("encoder.layers.", "encoder_blocks."),
    ("decoder.layers.", "decoder_blocks."),
    ("self_attn.in_proj_", "attention.query_key_value."),
    ("self_attn.out_proj.", "attention.output."),
    ("multihead_attn.out_proj.", "source_attention.output."),
    ("linear1.", "feed_forward.input."),
    ("linear2.", "feed_forward.output."),
    ("norm1.", "attention_norm."),
)


def make_model(**changes: object) -> EncoderDecoder:
    """A small model with perturbed weights, so that biases have an effect."""
    torch.manual_seed(0)
    model = EncoderDecoder(CONFIG.model_copy(update=changes), VOCABULARY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model.eval()


def draw_tokens(*shape: int, seed: int = 1) -> torch.Tensor:
    """Tokens of text."""
    return torch.randint(3, VOCABULARY.size, shape, generator=torch.Generator().manual_seed(seed))


def pad_right(tokens: torch.Tensor, *lengths: int) -> torch.Tensor:
    return tokens.where(torch.arange(tokens.size(1)) < torch.tensor(lengths)[:, None], VOCABULARY.padding_id)


def make_reference(model: EncoderDecoder) -> nn.Transformer:
    """torch's Transformer with the weights of ``model``."""
    reference = nn.Transformer(
        d_model=CONFIG.hidden_size,
        nhead=CONFIG.num_attention_heads,
        num_encoder_layers=CONFIG.encoder_layers,
        num_decoder_layers=CONFIG.decoder_layers,
        dim_feedforward=CONFIG.intermediate_size,
        dropout=0.0,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )
    ours = model.state_dict()
    reference.load_state_dict({name: find_weight(ours, name) for name in reference.state_dict()})
    return reference


def find_weight(ours: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    for theirs, own in NAMES:
        name = name.replace(theirs, own)
    if ".multihead_attn.in_proj_" in name:
        block, _, kind = name.partition(".multihead_attn.in_proj_")
        return torch.cat([ours[f"{block}.source_attention.{part}.{kind}"] for part in ("query", "key_value")])
    is_decoder = name.startswith("decoder")
    name = name.replace("norm2.", "source_norm." if is_decoder else "feed_forward_norm.")
    return ours[name.replace("norm3.", "feed_forward_norm.")]


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@torch.no_grad()
@pytest.mark.parametrize("lengths", [(9, 9, 9), (9, 4, 1)])
def test_hidden_states_are_those_of_the_transformer_of_torch(lengths: tuple[int, ...]) -> None:
    model = make_model()
    reference = make_reference(model)
    source, target = pad_right(draw_tokens(3, 9), *lengths), draw_tokens(3, 7, seed=2)
    embedded_source = model.embedding(source) + model.source_positions.weight[:9]
    embedded_target = model.embedding(target) + model.target_positions.weight[:7]
    is_padding = source == VOCABULARY.padding_id
    expected = reference(
        embedded_source,
        embedded_target,
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(7),
        tgt_is_causal=True,
        src_key_padding_mask=is_padding,
        memory_key_padding_mask=is_padding,
    )
    torch.testing.assert_close(model.target_hidden_states(source, target), expected, rtol=0, atol=1e-5)


def test_logits_step_by_step_equal_those_of_the_whole_target() -> None:
    source = pad_right(draw_tokens(3, 9), 9, 4, 6)
    check_that_parts_have_the_logits_of_the_whole(make_model(), source, draw_tokens(3, 12))


def test_selected_rows_of_a_state_go_on_as_they_were() -> None:
    source = pad_right(draw_tokens(3, 9), 9, 4, 6)
    check_that_selected_rows_of_a_state_go_on(make_model(), source, draw_tokens(3, 6))


@torch.no_grad()
def test_left_padded_beginnings_are_continued_as_if_alone() -> None:
    model, source, tokens = make_model(), draw_tokens(2, 9), draw_tokens(2, 6)
    mask = torch.arange(6) >= torch.tensor([[4], [0]])
    logits = model.next_logits(tokens, mask=mask, state=model.new_state(source))
    alone = model.next_logits(tokens[:1, 4:], state=model.new_state(source[:1]))
    torch.testing.assert_close(logits[:1], alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_padded_sources_are_read_as_if_alone() -> None:
    model, source = make_model(), pad_right(draw_tokens(3, 9), 9, 4, 6)
    torch.testing.assert_close(model.encode(source)[1, :4], model.encode(source[1:2, :4])[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(model.features(source, source != 1), model.encode(source), rtol=0, atol=0)
    assert model.encode(torch.full((1, 3), VOCABULARY.padding_id)).isfinite().all()


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_loss_is_the_cross_entropy_of_each_target_after_an_end_token(label_smoothing: float) -> None:
    model, source = make_model(), pad_right(draw_tokens(2, 9), 9, 4)
    targets = draw_tokens(2, 6)
    targets[1, 4:] = -100
    long, short = [0, *targets[0, :-1].tolist()], [0, *targets[1, :3].tolist()]
    expected = torch.zeros(())
    for row, read in ((0, long), (1, short)):
        logits = model(torch.tensor([read]), state=model.new_state(source[row : row + 1]))[0]
        expected = expected + nn.functional.cross_entropy(
            logits, targets[row, : len(read)], reduction="sum", label_smoothing=label_smoothing
        )
    loss = model.loss(source, targets, label_smoothing=label_smoothing)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-4)


def test_an_untrained_model_knows_nothing() -> None:
    torch.manual_seed(0)
    model, tokens = EncoderDecoder(CONFIG, VOCABULARY), draw_tokens(4, 12)
    loss = model.loss(tokens, tokens) / tokens.numel()
    assert loss.item() == pytest.approx(torch.tensor(float(VOCABULARY.size)).log().item(), abs=0.1)


def test_it_learns_to_write_backwards() -> None:
    """That is, to attend to another position of the source for each position of the target."""
    torch.manual_seed(0)
    config = {
        "hidden_size": 32,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }
    model = EncoderDecoder(CONFIG.model_copy(update=config), VOCABULARY)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(150):
        source = draw_tokens(64, 5, seed=step)
        targets = torch.cat((source.flip(1), torch.zeros(64, 1, dtype=torch.long)), dim=1)
        (model.loss(source, targets) / targets.numel()).backward()
        optimizer.step()
        optimizer.zero_grad()
    source = draw_tokens(50, 5, seed=1000)
    state, tokens, written = model.eval().new_state(source), torch.zeros(50, 1, dtype=torch.long), []
    for _ in range(6):
        tokens = model.next_logits(tokens, state=state).argmax(dim=1, keepdim=True)
        written.append(tokens)
    found = torch.cat(written, dim=1)
    is_right = (found[:, :5] == source.flip(1)).all(dim=1) & (found[:, 5] == VOCABULARY.end_of_text_id)
    assert is_right.float().mean() > 0.95


def test_activations_in_bfloat16_come_close() -> None:
    model, source, targets = make_model(), pad_right(draw_tokens(2, 9), 9, 4), draw_tokens(2, 6)
    accurate = model.loss(source, targets)
    model.compute_in(torch.bfloat16)
    rough = model.loss(source, targets)
    rough.backward()
    assert model.encode(source).dtype == model.new_state(source).source_keys[0].dtype == torch.bfloat16
    torch.testing.assert_close(rough, accurate, rtol=0.02, atol=0)
    used = {name: parameter for name, parameter in model.named_parameters() if "positions" not in name}
    assert all(parameter.grad.dtype == torch.float32 for parameter in used.values())


def test_too_long_a_sequence_is_refused() -> None:
    model = make_model()
    for lengths in ((13, 4), (4, 13)):
        with pytest.raises(ValueError, match="13 tokens do not fit the context of 12"):
            model.loss(draw_tokens(1, lengths[0]), draw_tokens(1, lengths[1]))


def test_the_operations_of_training_are_those_that_torch_counts() -> None:
    model, tokens = make_model(), draw_tokens(3, CONFIG.max_position_embeddings)
    # Only the plain kernel is made of products that are counted one by one.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.loss(tokens, tokens).backward()
    # What is computed and thrown away, attention's look into the future, is not needed for training.
    future = 6 * CONFIG.decoder_layers * CONFIG.hidden_size * CONFIG.max_position_embeddings
    assert counter.get_total_flops() / tokens.numel() == model.flops_per_token() + future
