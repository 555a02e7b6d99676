"""Adapters: nothing changes before they are trained, nothing else is trained, and merged they say the same."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn

from lmcore.config.families import FamilyConfig
from lmcore.config.generation import greedy_decoding
from lmcore.config.models import ModelConfig
from lmcore.config.tokenize import BytePairConfig
from lmcore.generation import generate
from lmcore.models.folder import save_language_model
from lmcore.models.gpt.decoding import has_plain_layers
from lmcore.models.lora import (
    LoRALinear,
    adapter_state,
    add_lora,
    load_adapter_state,
    merge_and_unload,
    merge_lora,
    unmerge_lora,
)
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.tokenizer.training import train_tokenizer
from tests.lmcore.models.small_models import CONFIGS, draw_tokens, make_model, perturb

GREEDY = greedy_decoding(6)
families = pytest.mark.parametrize("family", CONFIGS)


def add(model: nn.Module, seed: int = 5, **changes: object) -> list[str]:
    settings = {"rank": 3, "alpha": 6.0, "dropout": 0.0, "generator": torch.Generator().manual_seed(seed)}
    return add_lora(model, **settings | changes)


def logits_of(model: TrainableModel) -> torch.Tensor:
    tokens = draw_tokens(2, 12)
    with torch.no_grad():
        if model.config.reads_source:
            return model(tokens, state=model.new_state(tokens))
        return model(tokens)


def train(model: TrainableModel, n_steps: int = 3) -> None:
    tokens = draw_tokens(4, 12)
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=0.01)
    for _ in range(n_steps):
        optimizer.zero_grad()
        (model.loss(tokens, tokens.roll(-1, 1)) / tokens.numel()).backward()
        optimizer.step()


@families
def test_untrained_adapters_change_nothing(family: str) -> None:
    model = make_model(family)
    expected = logits_of(model)
    names = add(model)
    assert len(names) == sum(isinstance(module, LoRALinear) for module in model.modules()) > 3
    assert torch.equal(logits_of(model), expected)


@families
def test_only_adapters_are_trained(family: str) -> None:
    model = make_model(family)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    add(model)
    first = {name: weight.clone() for name, weight in adapter_state(model).items()}
    train(model)
    after = {name.replace(".base.", "."): weight for name, weight in model.state_dict().items()}
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    assert not any(torch.equal(adapter_state(model)[name], weight) for name, weight in first.items())
    assert after.keys() - before.keys() == first.keys()


@families
def test_merged_and_unmerged_adapters_give_the_same_logits(family: str) -> None:
    model = make_model(family)
    bare, weights = logits_of(model), [weight.clone() for weight in model.state_dict().values()]
    add(model)
    train(model)
    expected = logits_of(model)
    assert not torch.allclose(expected, bare, atol=1e-2)
    for _ in range(2):
        merge_lora(model)
        merge_lora(model)
        torch.testing.assert_close(logits_of(model), expected, rtol=0, atol=1e-6)
        unmerge_lora(model)
        unmerge_lora(model)
        torch.testing.assert_close(logits_of(model), expected, rtol=0, atol=1e-6)
    merge_and_unload(model)
    torch.testing.assert_close(logits_of(model), expected, rtol=0, atol=1e-6)
    assert [weight.shape for weight in model.state_dict().values()] == [weight.shape for weight in weights]
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("family", ["gpt", "gpt2", "llama"])
def test_an_adapted_model_writes_what_the_folded_one_does(family: str) -> None:
    model = make_model(family)
    add(model)
    perturb(parameter for parameter in model.parameters() if parameter.requires_grad)
    written = [generate(model, [[0, 3], [0, 5, 6]], GREEDY)]
    for change in (merge_lora, unmerge_lora, merge_and_unload):
        change(model)
        written.append(generate(model, [[0, 3], [0, 5, 6]], GREEDY))
    assert written == [written[0]] * 4


@pytest.mark.parametrize("family", get_args(get_args(ModelConfig)[0]))
def test_a_setting_lets_adapters_pass_where_a_model_has_maps_for_them(family: type[FamilyConfig]) -> None:
    name = get_args(family.model_fields["family"].annotation)[0]
    assert family.takes_adapters is (name in CONFIGS)


def test_a_layer_of_another_kind_is_never_left_out_of_a_step() -> None:
    model = make_model()
    assert has_plain_layers(model)
    model.blocks[0].attention.key = nn.Sequential(model.blocks[0].attention.key, nn.Tanh())
    assert not has_plain_layers(model)


@pytest.mark.parametrize("is_training", [False, True])
def test_adapters_are_in_the_mode_of_the_model(is_training: bool) -> None:
    model = make_model().train(is_training)
    add(model, dropout=0.5)
    assert all(module.training is is_training for module in model.modules())


@pytest.mark.parametrize("make", [lambda: nn.Linear(5, 4), lambda: nn.Linear(5, 4, bias=False)])
def test_an_adapted_map_is_the_map_and_a_product_of_low_rank(make: Callable[[], nn.Linear]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(make())
    assert add(model, rank=2, alpha=3.0, pattern="0") == ["0"]
    perturb(model.parameters())
    adapter, features = model[0], torch.randn(7, 5)
    weight = adapter.base.weight + 1.5 * adapter.up @ adapter.down
    expected = nn.functional.linear(features, weight, adapter.base.bias)
    torch.testing.assert_close(model(features), expected, rtol=0, atol=1e-6)


@families
def test_adapters_train_with_activations_in_bfloat16(family: str) -> None:
    model = make_model(family)
    add(model)
    perturb(adapter for _, adapter in model.named_parameters() if adapter.requires_grad)
    tokens = draw_tokens(2, 12)
    accurate = model.loss(tokens, tokens)
    model.compute_in(torch.bfloat16)
    rough = model.loss(tokens, tokens)
    rough.backward()
    torch.testing.assert_close(rough, accurate, rtol=0.03, atol=0)
    gradients = [weight.grad for weight in model.parameters() if weight.requires_grad]
    assert all(gradient is not None and gradient.dtype == torch.float32 for gradient in gradients)


def test_dropout_leaves_out_inputs_of_the_adapter_alone() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(400, 1))
    add(model, dropout=0.5, pattern="0")
    adapter, features = model[0], torch.ones(1, 400)
    with torch.no_grad():
        adapter.down.fill_(1.0)
        adapter.up.fill_(1.0)
    drawn = torch.cat([model.train()(features) - adapter.base(features) for _ in range(50)])
    # 3 ways of scale 2 over 400 ones, each kept half of the time and then doubled.
    assert drawn.mean().item() == pytest.approx(2400, rel=0.05)
    assert drawn.std() > 50
    assert (model.eval()(features) - adapter.base(features)).item() == pytest.approx(2400, rel=1e-4)


def test_the_generator_alone_decides_on_the_adapters() -> None:
    models = [make_model() for _ in range(3)]
    for model, seed in zip(models, (5, 5, 6), strict=True):
        torch.manual_seed(seed * 7)
        add(model, seed=seed)
    first, same, other = (adapter_state(model) for model in models)
    downs = [name for name in first if name.endswith(".down")]
    assert all(torch.equal(first[name], same[name]) for name in downs)
    assert not any(torch.equal(first[name], other[name]) for name in downs)
    assert all((weight == 0).all() for name, weight in first.items() if name.endswith(".up"))


def test_adapters_that_do_not_fit_are_refused() -> None:
    model, narrow, elsewhere = make_model(), make_model(), make_model()
    add(model)
    add(narrow, rank=2)
    add(elsewhere, pattern=r"blocks\.0\.")
    with pytest.raises(ValueError, match="use the same rank"):
        load_adapter_state(model, adapter_state(narrow))
    with pytest.raises(ValueError, match=r"blocks\.1\..* are not in both"):
        load_adapter_state(model, adapter_state(elsewhere))
    merge_lora(model)
    with pytest.raises(ValueError, match="unmerge them"):
        load_adapter_state(model, adapter_state(model))


def test_a_model_gets_adapters_once_and_where_there_is_a_map() -> None:
    model = make_model()
    with pytest.raises(ValueError, match=r"matches 'nowhere'; expected one of blocks\.0\.attention\.query"):
        add(model, pattern="nowhere")
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert add(model, pattern=r"attention\.(query|value)$") == [
        f"blocks.{layer}.attention.{part}" for layer in range(2) for part in ("query", "value")
    ]
    with pytest.raises(ValueError, match="already has adapters"):
        add(model)


def test_a_model_with_adapters_is_not_saved_where_nobody_could_load_it(tmp_path: Path) -> None:
    model = make_model("gpt")
    add(model)
    tokenizer = train_tokenizer(["a text"], BytePairConfig(kind="byte_pair", vocabulary_size=259))
    with pytest.raises(ValueError, match="merge them with merge_and_unload before saving"):
        save_language_model(tmp_path / "model", model, tokenizer, {})
    merge_and_unload(model)
    save_language_model(tmp_path / "model", model, tokenizer, {})
    assert (tmp_path / "model" / "weights.safetensors").exists()
