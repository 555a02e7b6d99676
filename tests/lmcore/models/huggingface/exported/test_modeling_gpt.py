"""The code in an exported folder computes what the GPT computes, in one pass, step by step, padded, and in training."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from lmcore.generation import generate
from lmcore.models.families import build_model
from lmcore.models.gpt.model import GPT
from lmcore.models.huggingface.folder import export_model, import_model
from tests.lmcore.generation.toy_models import settings
from tests.lmcore.models.gpt2.test_gpt2 import TOKENIZER
from tests.lmcore.models.small_models import GPT_CONFIG

PLAIN = {
    "use_residual_mixing": False,
    "use_value_embeddings": False,
    "use_token_shift": False,
    "ngram_head_order": 0,
    "final_logit_softcapping": None,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "everything": {},
    "squared ReLU, untied": {"hidden_act": "relu2", "tie_word_embeddings": False},
    "token shift alone": PLAIN | {"use_token_shift": True},
    "plain squared ReLU": PLAIN | {"hidden_act": "relu2"},
}
variants = pytest.mark.parametrize("variant", VARIANTS)


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code of a folder is copied to a cache before it is imported: here, to one of this test."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))


def exported(folder: Path, changes: dict[str, Any]) -> tuple[GPT, Any]:
    torch.manual_seed(0)
    config = GPT_CONFIG.model_copy(update=changes | {"max_position_embeddings": 40})
    model = build_model(config, TOKENIZER.vocabulary).eval()
    assert isinstance(model, GPT)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    export_model(model, TOKENIZER, folder)
    return model, transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)


@variants
@torch.no_grad()
def test_logits_are_the_same_and_the_model_comes_back_bit_for_bit(tmp_path: Path, variant: str) -> None:
    model, reference = exported(tmp_path / "model", VARIANTS[variant])
    assert (tmp_path / "model" / "modeling_gpt.py").exists()
    tokens = torch.randint(280, (2, 40))
    torch.testing.assert_close(reference(tokens).logits, model(tokens), rtol=0, atol=1e-5)
    torch.testing.assert_close(reference(tokens, use_cache=False).logits, model(tokens), rtol=0, atol=1e-5)
    again, _ = import_model(tmp_path / "model")
    assert again.config == model.config
    assert all(torch.equal(weight, again.state_dict()[key]) for key, weight in model.state_dict().items())


@variants
@torch.no_grad()
def test_padded_prompts_are_continued_alike_also_in_a_beam_search(tmp_path: Path, variant: str) -> None:
    model, reference = exported(tmp_path / "model", VARIANTS[variant])
    vocabulary = TOKENIZER.vocabulary
    prompts = [[5, 6, 7, 8], [9], [10, 11]]
    padded = torch.tensor([[vocabulary.padding_id] * (4 - len(prompt)) + prompt for prompt in prompts])
    inputs = {"input_ids": padded, "attention_mask": (padded != vocabulary.padding_id).long()}
    answers = generate(model, prompts, settings(max_new_tokens=20))
    for row, answer in zip(reference.generate(**inputs, max_new_tokens=20, do_sample=False), answers, strict=True):
        written = [*row[4:].tolist(), vocabulary.end_of_text_id]
        assert answer == written[: written.index(vocabulary.end_of_text_id)]
    # Without a cache, nothing can be mixed up when beams are reordered.
    searches = [
        reference.generate(**inputs, max_new_tokens=8, do_sample=False, num_beams=3, use_cache=use_cache)
        for use_cache in (True, False)
    ]
    assert torch.equal(*searches)


def test_it_trains_on(tmp_path: Path) -> None:
    model, reference = exported(tmp_path / "model", {})
    tokens = torch.randint(280, (2, 12))
    loss = reference(tokens, labels=tokens).loss
    expected = model.loss(tokens[:, :-1], tokens[:, 1:]) / 22
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    loss.backward()
    assert all(parameter.grad is not None for parameter in reference.parameters())


@torch.no_grad()
def test_a_gpt_without_extras_needs_no_code(tmp_path: Path) -> None:
    model, reference = exported(tmp_path / "model", PLAIN)
    assert type(reference).__name__ == "Qwen3ForCausalLM"
    assert not (tmp_path / "model" / "modeling_gpt.py").exists()
    tokens = torch.randint(280, (2, 40))
    torch.testing.assert_close(reference(tokens).logits, model(tokens), rtol=0, atol=1e-5)
    again, _ = import_model(tmp_path / "model")
    torch.testing.assert_close(again(tokens), model(tokens), rtol=0, atol=1e-5)
