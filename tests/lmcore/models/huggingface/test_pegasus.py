"""The encoder-decoder is a Pegasus for ``transformers``, which writes the same and comes back bit for bit."""

import json
from pathlib import Path

import pytest
import torch
import transformers

from lmcore.generation import generate
from lmcore.models.encoder_decoder.model import EncoderDecoder
from lmcore.models.families import build_model
from lmcore.models.huggingface.folder import export_model, import_model
from tests.lmcore.generation.toy_models import settings
from tests.lmcore.models.gpt2.test_gpt2 import TOKENIZER
from tests.lmcore.models.small_models import CONFIGS


def exported(folder: Path) -> EncoderDecoder:
    torch.manual_seed(0)
    changes = {"max_position_embeddings": 40, "decoder_layers": 2, "dropout": 0.25}
    model = build_model(CONFIGS["encoder_decoder"].model_copy(update=changes), TOKENIZER.vocabulary).eval()
    assert isinstance(model, EncoderDecoder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    export_model(model, TOKENIZER, folder)
    return model


@torch.no_grad()
def test_an_exported_encoder_decoder_writes_the_same_and_comes_back(tmp_path: Path) -> None:
    model = exported(tmp_path)
    reference = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    tokens, end = torch.randint(3, 280, (2, 30)), TOKENIZER.vocabulary.end_of_text_id
    expected = model.target_logits(tokens, tokens)
    torch.testing.assert_close(reference(input_ids=tokens, labels=tokens).logits, expected, rtol=0, atol=1e-5)
    for prompt, answer in zip(tokens, generate(model, tokens.tolist(), settings(max_new_tokens=15)), strict=True):
        written = reference.generate(prompt[None], max_new_tokens=15, do_sample=False)[0, 1:].tolist()
        assert [*answer, end][: len(written)] == written
    again, _ = import_model(tmp_path)
    assert again.config == model.config
    assert all(torch.equal(weight, again.state_dict()[key]) for key, weight in model.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale_embedding": True}, "has scale_embedding True; only models with False"),
        ({"decoder_ffn_dim": 25}, "has encoder_ffn_dim 24 and decoder_ffn_dim 25"),
        ({"decoder_start_token_id": 5}, "has decoder_start_token_id 5, expected that of the end token"),
    ],
)
def test_another_pegasus_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    exported(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ValueError, match=message):
        import_model(tmp_path)
