"""Adapters in a folder beside their base model are the fine-tuned model, and fit no other one."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lmcore.errors import UserError
from lmcore.finetuning.adapter_folder import load_adapter, save_adapter, weights_digest
from lmcore.models.lora import merge_and_unload
from lmcore.models.prompt import PromptFormat
from tests.lmcore.models.gpt.test_gpt import make_model
from tests.lmcore.models.test_lora import add, logits_of, train

FORMAT = PromptFormat(
    template="{{ text }}\n",
    truncated_field="text",
    truncation_side="right",
    max_prompt_tokens=4,
    max_completion_tokens=4,
)


def test_a_base_with_its_adapters_is_the_merged_model(tmp_path: Path) -> None:
    model, base = make_model(), make_model()
    add(model, rank=3, alpha=6.0, dropout=0.1)
    train(model)
    model.eval()
    save_adapter(tmp_path / "adapter", model, prompt_format=FORMAT)
    merge_and_unload(model)
    assert not torch.allclose(logits_of(base), logits_of(model), atol=1e-3)
    description = load_adapter(tmp_path / "adapter", base)
    torch.testing.assert_close(logits_of(base), logits_of(model), rtol=0, atol=1e-5)
    assert base.state_dict().keys() == model.state_dict().keys()
    assert description.prompt_format == FORMAT
    assert (description.r, description.lora_alpha, description.lora_dropout) == (3, 6.0, 0.1)


def test_the_folder_is_laid_out_as_that_of_peft(tmp_path: Path) -> None:
    model = make_model()
    names = add(model, rank=3, alpha=6.0)
    save_adapter(tmp_path / "adapter", model)
    described = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert {"peft_type": "LORA", "r": 3, "lora_alpha": 6.0, "bias": "none"}.items() <= described.items()
    assert described["target_modules"] == names
    tensors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    parts = ("lora_A.weight", "lora_B.weight")
    assert set(tensors) == {f"base_model.model.{name}.{part}" for name in names for part in parts}
    assert {min(tensor.shape) for tensor in tensors.values()} == {3}


def test_adapters_of_another_model_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    model, other = make_model(), make_model()
    with pytest.raises(UserError, match="has no adapters to save"):
        save_adapter(tmp_path / "adapter", model)
    digest = weights_digest(model)
    add(model)
    assert weights_digest(model) == digest
    save_adapter(tmp_path / "adapter", model)
    with torch.no_grad():
        next(other.parameters()).flatten()[0] += 1.0
    with pytest.raises(UserError, match="were trained on another model"):
        load_adapter(tmp_path / "adapter", other)
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="was damaged or altered"):
        load_adapter(tmp_path / "adapter", make_model())
