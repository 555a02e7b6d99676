"""Llama and its variations: what is not exact is refused or limited, and the right architecture is chosen."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from lmcore.models.families import build_model
from lmcore.models.huggingface.folder import export_model, import_model
from tests.lmcore.models.gpt2.test_gpt2 import TOKENIZER
from tests.lmcore.models.huggingface.references import save_reference
from tests.lmcore.models.small_models import CONFIGS


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rope_parameters": {"rope_type": "yarn", "factor": 2.0}}, "has rope_type 'yarn'; only the types default, "),
        ({"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}, "has partial_rotary_factor 0.5"),
        ({"rope_parameters": {"rope_type": "linear"}}, "rope_scaling.linear.factor None"),
        ({"mlp_bias": True}, "has mlp_bias True; only models with False"),
        ({"hidden_act": "gelu"}, "has hidden_act 'gelu'; only models with 'silu'"),
        ({"num_key_value_heads": 3}, "must divide num_attention_heads"),
        ({"hidden_size": None}, "hidden_size None"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    save_reference(tmp_path, "llama 2")
    change_config(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        import_model(tmp_path)


@torch.no_grad()
def test_a_folder_of_an_older_release_of_the_library_is_read(tmp_path: Path) -> None:
    """Before release 5, the base of rotary positions and their scaling were settings of their own."""
    reference = save_reference(tmp_path, "llama 3")
    parameters = dict(reference.config.rope_parameters)
    theta = parameters.pop("rope_theta")
    change_config(tmp_path, rope_theta=theta, rope_scaling=parameters, rope_parameters=None)
    model, _ = import_model(tmp_path)
    tokens = torch.randint(200, (2, 40))
    torch.testing.assert_close(model(tokens)[..., :288], reference(tokens).logits[..., :288], rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_sliding_window_limits_the_context_within_which_nothing_differs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reference = save_reference(tmp_path, "mistral", sliding_window=10)
    model, _ = import_model(tmp_path)
    assert "the context is limited to 10 tokens instead of 64" in caplog.text
    tokens = torch.randint(200, (2, 30))
    size = reference.config.vocab_size
    within = model(tokens[:, :10])[..., :size]
    torch.testing.assert_close(within, reference(tokens).logits[:, :10], rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="11 tokens do not fit the context of 10"):
        model(tokens[:, :11])


@pytest.mark.parametrize(
    ("changes", "architecture"),
    [
        ({"use_qk_norm": False, "attention_bias": False}, "LlamaForCausalLM"),
        ({"use_qk_norm": False, "attention_output_bias": True}, "LlamaForCausalLM"),
        ({"use_qk_norm": False, "attention_bias": False, "num_attention_heads": 6}, "MistralForCausalLM"),
        ({"use_qk_norm": False}, "Qwen2ForCausalLM"),
        ({"attention_bias": False, "tie_word_embeddings": True}, "Qwen3ForCausalLM"),
    ],
)
@torch.no_grad()
def test_a_model_is_exported_as_an_architecture_that_computes_the_same(
    tmp_path: Path, changes: dict[str, Any], architecture: str
) -> None:
    torch.manual_seed(0)
    model = build_model(CONFIGS["llama"].model_copy(update=changes), TOKENIZER.vocabulary).eval()
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.1)
    export_model(model, TOKENIZER, tmp_path / "exported")
    reference = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "exported")
    assert type(reference).__name__ == architecture
    tokens = torch.randint(280, (2, 12))
    torch.testing.assert_close(reference(tokens).logits, model(tokens), rtol=0, atol=1e-5)
    assert import_model(tmp_path / "exported")[0].config == model.config


def test_a_combination_that_no_architecture_has_is_named(tmp_path: Path) -> None:
    model = build_model(CONFIGS["llama"], TOKENIZER.vocabulary)
    with pytest.raises(ValueError, match="no architecture of transformers has attention_bias True, attention_output_"):
        export_model(model, TOKENIZER, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()
