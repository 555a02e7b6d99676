"""T5: whether weights are tied is seen from the weights, and targets begin with padding."""

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


def test_the_sentinel_masks_and_the_source_ends(tmp_path: Path) -> None:
    save_reference(tmp_path, "t5 1.0")
    model, tokenizer = import_model(tmp_path)
    vocabulary = tokenizer.vocabulary
    names = (vocabulary.start_id, vocabulary.end_of_text_id, vocabulary.padding_id, vocabulary.mask_id)
    assert [tokenizer.name_of(identity) for identity in names] == ["</s>", "</s>", "<pad>", "<extra_id_0>"]
    assert vocabulary.size == tokenizer.n_own_tokens
    assert (model.config.tie_word_embeddings, model.config.scale_decoder_outputs) == (True, True)


def test_another_start_of_targets_is_refused(tmp_path: Path) -> None:
    save_reference(tmp_path, "t5 1.0")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"decoder_start_token_id": 1}))
    with pytest.raises(ValueError, match="has decoder_start_token_id 1, expected that of the padding token"):
        import_model(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_word_embeddings": False, "scale_decoder_outputs": False, "feed_forward_proj": "relu"},
        {"scale_decoder_outputs": False},
    ],
)
@torch.no_grad()
def test_every_head_that_the_reference_has_comes_back(tmp_path: Path, changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = build_model(CONFIGS["t5"].model_copy(update=changes), TOKENIZER.vocabulary).eval()
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.1)
    export_model(model, TOKENIZER, tmp_path / "exported")
    reference = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "exported")
    tokens = torch.randint(3, 280, (2, 12))
    torch.testing.assert_close(
        reference(input_ids=tokens, labels=tokens).logits, model.target_logits(tokens, tokens), rtol=1e-6, atol=1e-5
    )
    again, _ = import_model(tmp_path / "exported")
    assert again.config == model.config
    assert all(torch.equal(weight, again.state_dict()[key]) for key, weight in model.state_dict().items())


def test_a_scaled_output_with_weights_of_its_own_is_named(tmp_path: Path) -> None:
    model = build_model(CONFIGS["t5"].model_copy(update={"tie_word_embeddings": False}), TOKENIZER.vocabulary)
    with pytest.raises(ValueError, match="transformers scales the decoder's output only if tie_word_embeddings is"):
        export_model(model, TOKENIZER, tmp_path / "exported")
