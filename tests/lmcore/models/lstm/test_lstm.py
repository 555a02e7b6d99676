"""The LSTM: that of torch, with its state carried, its dropouts fixed over time, and its penalties."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from lmcore.config.models import LSTMConfig
from lmcore.generation import generate
from lmcore.models.lstm.model import LSTM, TORCH_GATES, _dropout_mask
from lmcore.models.prepared_weights import PreparedWeights
from lmcore.models.state import RecurrentState
from lmcore.tokens.tokenizer.vocabulary import Vocabulary
from tests.lmcore.generation.toy_models import settings
from tests.lmcore.models.causal_checks import (
    check_that_it_knows_nothing,
    check_that_loss_is_the_cross_entropy_of_the_logits,
)

VOCABULARY = Vocabulary(size=23, end_of_text_id=0, padding_id=1, mask_id=2)
CONFIG = LSTMConfig(
    family="lstm",
    embedding_size=12,
    hidden_size=18,
    num_hidden_layers=3,
    tie_word_embeddings=True,
    embedding_dropout=0.0,
    input_dropout=0.0,
    hidden_dropout=0.0,
    output_dropout=0.0,
    weight_dropout=0.0,
    activation_regularization=0.0,
    temporal_regularization=0.0,
)
VARIANTS = {"tied": {}, "untied": {"tie_word_embeddings": False}, "one layer": {"num_hidden_layers": 1}}
DROPOUTS = ("embedding_dropout", "input_dropout", "hidden_dropout", "output_dropout", "weight_dropout")


def make_model(seed: int = 0, **changes: object) -> LSTM:
    torch.manual_seed(seed)
    model = LSTM(CONFIG.model_copy(update=changes), VOCABULARY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model.eval()


def draw_tokens(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(VOCABULARY.size, shape, generator=torch.Generator().manual_seed(seed))


def torch_layers(model: LSTM) -> list[torch.nn.LSTM]:
    """Torch's own layers with the weights of ``model``."""
    layers = []
    for block in model.blocks:
        gates = [block.gates[gate] for gate in TORCH_GATES]
        layer = torch.nn.LSTM(gates[0].input.size(1), block.output_size, batch_first=True)
        with torch.no_grad():
            layer.weight_ih_l0.copy_(torch.cat([gate.input for gate in gates]))
            layer.weight_hh_l0.copy_(torch.cat([gate.recurrent for gate in gates]))
            layer.bias_ih_l0.copy_(torch.cat([gate.bias for gate in gates]))
            layer.bias_hh_l0.zero_()
        layers.append(layer)
    return layers


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_logits_are_those_of_torchs_lstm_step_by_step(variant: str) -> None:
    model, tokens = make_model(**VARIANTS[variant]), draw_tokens(3, 9)
    layers, states = torch_layers(model), [None] * len(model.blocks)
    weight = model.embedding.weight if model.head is None else model.head.weight
    ours = model(tokens)
    for position in range(9):
        stream = model.embedding(tokens[:, position : position + 1]) * math.sqrt(CONFIG.embedding_size)
        for index, layer in enumerate(layers):
            stream, states[index] = layer(stream, states[index])
        torch.testing.assert_close(ours[:, position], (stream @ weight.T)[:, 0], rtol=1e-5, atol=1e-5)


def test_the_layers_go_from_the_embedding_size_over_the_hidden_size_back_to_the_embedding_size() -> None:
    sizes = [(block.gates["cell"].input.size(1), block.output_size) for block in make_model().blocks]
    assert sizes == [(12, 18), (18, 18), (18, 12)]


def test_the_gradients_of_the_weights_are_those_of_torchs_lstm() -> None:
    model, tokens = make_model(), draw_tokens(3, 9)
    targets = tokens.roll(-1, 1)
    model.loss(tokens, targets).backward()
    layers = torch_layers(model)
    stream = model.embedding(tokens) * math.sqrt(CONFIG.embedding_size)
    for layer in layers:
        stream = layer(stream)[0]
    F.cross_entropy((stream @ model.embedding.weight.T).transpose(1, 2), targets, reduction="sum").backward()
    for block, layer in zip(model.blocks, layers, strict=True):
        for name, expected in (
            ("input", layer.weight_ih_l0),
            ("recurrent", layer.weight_hh_l0),
            ("bias", layer.bias_ih_l0),
        ):
            ours = torch.cat([getattr(block.gates[gate], name).grad for gate in TORCH_GATES])
            torch.testing.assert_close(ours, expected.grad, rtol=1e-4, atol=1e-5)


def test_cudnns_way_of_running_a_layer_has_the_same_outputs_and_gradients() -> None:
    layer = make_model().blocks[1]
    inputs, hidden, cell = torch.randn(5, 3, 18), torch.randn(3, 18), torch.randn(3, 18)
    results = []
    for run in (layer, layer._run_cudnn):  # PyTorch's own layer, which also runs on a CPU
        outputs, last, last_cell = run(inputs, hidden, cell, PreparedWeights())
        loss = outputs.square().sum() + last.sum() + last_cell.sum()
        results.append((outputs, last, last_cell, *torch.autograd.grad(loss, list(layer.parameters()))))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_losses_of_the_cpu() -> None:
    model, tokens = make_model(), draw_tokens(3, 9)
    expected = model.loss(tokens, tokens.roll(-1, 1))
    model.to("cuda")
    loss = model.loss(tokens.cuda(), tokens.roll(-1, 1).cuda())
    loss.backward()
    torch.testing.assert_close(loss.cpu(), expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_with_a_carried_state_equal_those_of_the_whole_sequence(variant: str) -> None:
    model, tokens = make_model(**VARIANTS[variant]), draw_tokens(3, 12)
    state = model.new_state(3)
    parts = [model(part, state=state) for part in tokens.split([5, 1, 4, 1, 1], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens))
    assert state.length == 12


def test_a_selected_state_goes_on_with_the_rows_that_were_selected() -> None:
    model, tokens = make_model(), draw_tokens(3, 8)
    state = model.new_state(3)
    model(tokens[:, :5], state=state)
    rows = torch.tensor([2, 0, 0, 1])
    state.select(rows)
    torch.testing.assert_close(model(tokens[rows, 5:], state=state), model(tokens)[rows, 5:])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_loss_is_the_cross_entropy_of_the_logits(variant: str, label_smoothing: float) -> None:
    check_that_loss_is_the_cross_entropy_of_the_logits(
        make_model(**VARIANTS[variant]), draw_tokens(2, 12), label_smoothing
    )


def test_the_losses_of_consecutive_parts_add_up_to_that_of_the_whole() -> None:
    model, tokens = make_model(), draw_tokens(3, 13)
    first, state = model.loss_and_state(tokens[:, :5], tokens[:, 1:6], model.new_state(3))
    second, state = model.loss_and_state(tokens[:, 5:12], tokens[:, 6:], state)
    torch.testing.assert_close(first + second, model.loss(tokens[:, :-1], tokens[:, 1:]))
    assert state.length == 12


def test_no_gradient_flows_into_the_batch_before() -> None:
    model, tokens = make_model(), draw_tokens(3, 8)
    given = model.new_state(3)
    _, state = model.loss_and_state(tokens, tokens.roll(-1, 1), given)
    assert not any(tensor.requires_grad for tensor in state.tensors.values())
    assert not any(tensor.any() for tensor in given.tensors.values()), "the given state must stay as it was"
    loss, _ = model.loss_and_state(tokens, tokens.roll(-1, 1), state)
    alone = RecurrentState({name: tensor.clone() for name, tensor in state.tensors.items()}, state.length)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    expected = torch.autograd.grad(model.loss_and_state(tokens, tokens.roll(-1, 1), alone)[0], list(model.parameters()))
    torch.testing.assert_close(gradients, expected)


def test_left_padded_prompts_are_continued_as_if_each_were_alone() -> None:
    model, tokens = make_model(), draw_tokens(3, 7)
    lengths = torch.tensor([7, 4, 1])
    mask = torch.arange(7) >= (7 - lengths).unsqueeze(1)
    state = model.new_state(3)
    padded = torch.cat(
        (model(tokens[:, :5], mask=mask[:, :5], state=state), model(tokens[:, 5:], mask=mask, state=state)), 1
    )
    for row, length in enumerate(lengths):
        alone = model.new_state(1)
        torch.testing.assert_close(
            padded[row, 7 - length :], model(tokens[row : row + 1, 7 - length :], state=alone)[0]
        )
        for name, tensor in alone.tensors.items():
            torch.testing.assert_close(state.tensors[name][row], tensor[0])


def test_completions_do_not_depend_on_the_other_prompts_of_a_batch() -> None:
    model = make_model()
    config = settings(max_new_tokens=8)
    prompts = [[3, 4, 5, 6], [7], [8, 9]]
    together = generate(model, prompts, config)
    assert together == [generate(model, [prompt], config)[0] for prompt in prompts]


def test_features_of_padded_texts_equal_those_of_each_text_alone() -> None:
    model, lengths = make_model(), [6, 3, 1]
    texts = [draw_tokens(1, length, seed=length) for length in lengths]
    padded = torch.full((3, 8), VOCABULARY.padding_id)
    for row, text in enumerate(texts):
        padded[row, : text.size(1)] = text
    features = model.features(padded, padded != VOCABULARY.padding_id)
    assert features.shape == (3, 8, model.feature_size)
    for row, text in enumerate(texts):
        torch.testing.assert_close(features[row, : lengths[row]], model.hidden_states(text)[0])


@pytest.mark.parametrize("name", DROPOUTS)
def test_dropout_acts_in_training_only(name: str) -> None:
    model, tokens = make_model(**{name: 0.5}), draw_tokens(2, 6)
    assert torch.equal(model(tokens), model(tokens))
    torch.testing.assert_close(model(tokens), make_model()(tokens))
    model.train()
    assert not torch.allclose(model(tokens), model(tokens))


def test_features_are_dropped_for_the_length_of_a_batch_and_the_others_scaled() -> None:
    model = make_model(num_hidden_layers=1, output_dropout=0.5)
    tokens = draw_tokens(4, 10)
    whole = model.hidden_states(tokens)
    model.train()
    ratio = model.hidden_states(tokens) / whole
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    assert set(ratio.detach().round(decimals=3).unique().tolist()) == {0.0, 2.0}
    assert not torch.equal(ratio[0], ratio[1]), "each sequence of a batch has its own"


def test_a_dropped_word_is_dropped_at_all_its_positions() -> None:
    model = make_model(embedding_dropout=0.5).train()
    tokens = torch.arange(VOCABULARY.size).repeat(2, 3)
    ratio = (model._embed(tokens) / (model.embedding(tokens) * math.sqrt(CONFIG.embedding_size))).detach()
    assert set(ratio.round(decimals=3).unique().tolist()) == {0.0, 2.0}
    by_word = ratio.view(6, VOCABULARY.size, CONFIG.embedding_size)
    assert torch.equal(by_word, by_word[:1, :, :1].expand_as(by_word))


def test_weight_dropout_leaves_all_but_the_recurrent_weights() -> None:
    model, first = make_model(weight_dropout=0.9), draw_tokens(3, 1)
    expected = model(first)
    model.train()
    torch.testing.assert_close(model(first), expected)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_weight_dropout_keeps_the_share_and_the_sum_of_the_weights(rate: float) -> None:
    torch.manual_seed(0)
    kept = _dropout_mask(torch.ones(333, 301), rate)
    assert (kept == 0).float().mean() == pytest.approx(rate, abs=0.01)
    assert kept.mean() == pytest.approx(1.0, abs=0.02)
    assert len(kept.unique()) == 2
    assert abs(torch.corrcoef(torch.stack((kept.flatten()[:-1], kept.flatten()[1:])))[0, 1]) < 0.02


def test_the_penalties_are_those_of_activation_and_temporal_regularization() -> None:
    changes = {"activation_regularization": 2.0, "temporal_regularization": 3.0}
    model, tokens = make_model(output_dropout=0.4, **changes), draw_tokens(2, 6)
    targets = draw_tokens(2, 6, seed=2)
    targets[0, :4] = -100
    raw = model.hidden_states(tokens)
    model.train()
    torch.manual_seed(3)
    dropped = model.hidden_states(tokens)
    torch.manual_seed(3)
    loss = model.loss(tokens, targets)
    cross_entropy = F.cross_entropy(model.output_logits(dropped).transpose(1, 2), targets, reduction="sum")
    activation = dropped.square().mean()
    temporal = (raw[:, 1:] - raw[:, :-1]).square().mean()
    torch.testing.assert_close(loss, cross_entropy + 8 * (2.0 * activation + 3.0 * temporal))
    model.eval()
    torch.testing.assert_close(model.loss(tokens, targets), make_model().loss(tokens, targets))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_operations_of_training_are_those_that_torch_counts(variant: str) -> None:
    model, tokens = make_model(**VARIANTS[variant]), draw_tokens(3, 10)
    with FlopCounterMode(display=False) as counter:
        model.loss(tokens, tokens.roll(-1, 1)).backward()
    # Nothing flows back from the first position into the state before it.
    not_needed = sum(2 * 4 * block.output_size**2 for block in model.blocks) / 10
    expected = model.flops_per_token() - not_needed
    assert counter.get_total_flops() / tokens.numel() == pytest.approx(expected, rel=1e-12)


def test_lower_precision_is_for_the_products_only() -> None:
    model, tokens = make_model(), draw_tokens(4, 12)
    exact = model(tokens)
    model.compute_in(torch.bfloat16)
    state = model.new_state(4)
    logits = model(tokens, state=state)
    assert logits.dtype == torch.float32
    assert {tensor.dtype for tensor in state.tensors.values()} == {torch.float32}
    torch.testing.assert_close(logits, exact, rtol=0.05, atol=0.1)
    model.loss(tokens, tokens.roll(-1, 1)).backward()
    assert {parameter.grad.dtype for parameter in model.parameters()} == {torch.float32}


def test_an_untrained_model_knows_nothing() -> None:
    torch.manual_seed(0)
    check_that_it_knows_nothing(LSTM(CONFIG, VOCABULARY), draw_tokens(4, 12))


def test_saved_weights_are_the_same_model(tmp_path) -> None:
    model, tokens = make_model(), draw_tokens(2, 5)
    model.save_weights(tmp_path / "weights.safetensors")
    other = make_model(seed=9)
    other.load_weights(tmp_path / "weights.safetensors")
    assert torch.equal(other(tokens), model(tokens))
