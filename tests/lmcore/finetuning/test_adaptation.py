from pathlib import Path

import pytest
import torch

import lmcore
from lmcore.config.tokenize import BytePairConfig
from lmcore.config.training import AdamWConfig, LoRAConfig, MuonConfig
from lmcore.errors import UserError
from lmcore.finetuning.adaptation import adapt, add_adapters, freeze_layers, save_adapted
from lmcore.models.chat_template import DEFAULT_TEMPLATE
from lmcore.models.folder import save_language_model
from lmcore.models.gpt.model import GPT
from lmcore.models.lora import named_adapters
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.training import train_tokenizer
from lmcore.training.optimizer import ModelOptimizer
from tests.lmcore.models.small_models import CONFIGS, draw_tokens, make_model
from tests.lmcore.training.test_optimizer import ADAMW, MUON
from tests.tasks.tracking.tiny_models import CONFIG


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["the list is sorted"] * 3, BytePairConfig(kind="byte_pair", vocabulary_size=260))


def test_only_adapters_are_trained_and_they_depend_on_the_seed(tokenizer: Tokenizer) -> None:
    def adapters(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = GPT(CONFIG, tokenizer.vocabulary)
        add_adapters(model, LoRAConfig(rank=2, alpha=2.0, dropout=0.0, save_adapter=False), seed=seed)
        return [parameter for parameter in model.parameters() if parameter.requires_grad]

    first, again, other = adapters(1), adapters(1), adapters(2)
    assert all(min(weight.shape) == 2 for weight in first)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(first, other, strict=True))


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("optimizer", [ADAMW, MUON])
def test_frozen_layers_have_neither_gradients_nor_optimizer_states_and_stay(
    family: str, optimizer: AdamWConfig | MuonConfig
) -> None:
    model = make_model(family)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    freeze_layers(model, 1)
    trained = ModelOptimizer(model, optimizer)
    tokens, targets = draw_tokens(2, 6), draw_tokens(2, 6)
    for _ in range(2):
        model.loss(tokens, targets).backward()  # type: ignore[no-untyped-call]
        gradients = {name for name, weight in model.named_parameters() if weight.grad is not None}
        trained.step(1.0)
    frozen = {name for name, weight in model.named_parameters() if torch.equal(weight, before[name])}
    assert {"embedding.weight"} | {name for name in before if "blocks.0." in name} <= frozen
    assert not gradients & {name for name in frozen if "blocks.0." in name or "embedding" in name}
    assert {key.rpartition("/")[0] for key in trained.state()} == gradients
    if family != "encoder_decoder":  # which has one block on each side
        assert {name for name in before if "blocks.1." in name} & gradients


def test_more_layers_than_there_are_cannot_be_frozen() -> None:
    with pytest.raises(UserError, match="frozen_layers is 3, but the model has 2 blocks"):
        freeze_layers(make_model("gpt"), 3)


@pytest.mark.parametrize("keeps", [True, False])
def test_a_saved_model_is_merged_and_has_its_adapters_beside_it_if_they_are_kept(
    keeps: bool, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = GPT(CONFIG, tokenizer.vocabulary)
    save_language_model(tmp_path / "base", model, tokenizer, {})
    config = LoRAConfig(rank=2, alpha=2.0, dropout=0.0, save_adapter=keeps)
    add_adapters(model, config, seed=1)
    with torch.no_grad():
        for _, adapter in named_adapters(model):
            adapter.up.normal_()
    folder = tmp_path / "model"
    save_adapted(folder, model, tokenizer, {}, config, chat_template=DEFAULT_TEMPLATE if keeps else None)
    merged = lmcore.load(folder).score("sorted list")
    assert (folder / "adapter").is_dir() == keeps
    assert not (tmp_path / "adapter").exists()
    if keeps:
        beside = lmcore.load(tmp_path / "base", adapter=folder / "adapter").score("sorted list")
        assert beside.logprobs == pytest.approx(merged.logprobs, abs=1e-5)
        assert lmcore.load(tmp_path / "base").score("sorted list").logprobs != merged.logprobs
        assert lmcore.load(tmp_path / "base", adapter=folder / "adapter").chat_template == DEFAULT_TEMPLATE


def test_a_model_is_restricted_to_adapters_to_later_blocks_or_not_at_all() -> None:
    def trained(lora: LoRAConfig | None, frozen_layers: int | None) -> set[str]:
        model = make_model("gpt")
        adapt(model, lora, frozen_layers, seed=1)
        return {name for name, weight in model.named_parameters() if weight.requires_grad}

    everything = trained(None, None)
    assert everything == {name for name, _ in make_model("gpt").named_parameters()}
    assert trained(None, 1) == {name for name in everything if "blocks.0." not in name} & trained(None, 0)
    adapters = trained(LoRAConfig(rank=2, alpha=2.0, dropout=0.0, save_adapter=False), None)
    assert {name.rpartition(".")[2] for name in adapters} == {"up", "down"}
