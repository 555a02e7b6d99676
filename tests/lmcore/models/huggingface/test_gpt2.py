"""GPT-2: several dropouts become one, appended tokens are hardly ever likely, and what is no GPT-2 is refused."""

from pathlib import Path

import pytest
import torch

from lmcore.models.huggingface.folder import export_model, import_model
from lmcore.tokens.tokenizer.vocabulary import END_OF_TEXT
from tests.lmcore.models.gpt2.test_gpt2 import TEXTS, TOKENIZER, VOCABULARY, make_model
from tests.lmcore.models.huggingface.references import save_reference


@torch.no_grad()
def test_tokens_that_the_published_tokenizer_lacks_are_appended_and_hardly_ever_likely(tmp_path: Path) -> None:
    reference = save_reference(tmp_path, "gpt2", extra_rows=40)
    model, tokenizer = import_model(tmp_path)
    n_own = tokenizer.n_own_tokens
    assert tokenizer.vocabulary.size == n_own + 2
    table, own = model.state_dict()["embedding.weight"], reference.transformer.wte.weight[:n_own]
    assert torch.equal(table[:n_own], own)
    torch.testing.assert_close(table[n_own:], own.mean(dim=0).expand(2, -1), rtol=0, atol=0)
    tokens = torch.randint(n_own, (3, 12))
    assert (model(tokens).softmax(dim=-1)[..., n_own:] < 1 / n_own).all()


def test_several_dropouts_become_one_and_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reference = save_reference(tmp_path, "gpt2")
    import_model(tmp_path)
    assert "dropout" not in caplog.text
    reference.config.update({"resid_pdrop": 0.3, "attn_pdrop": 0.0, "embd_pdrop": 0.2})
    reference.config.save_pretrained(tmp_path)
    assert import_model(tmp_path)[0].config.dropout == 0.3
    assert (
        "resid_pdrop 0.3, embd_pdrop 0.2, attn_pdrop 0; only one dropout rate is supported, 0.3 is used" in caplog.text
    )


def test_another_name_of_the_activation_is_understood(tmp_path: Path) -> None:
    reference = save_reference(tmp_path, "gpt2")
    reference.config.activation_function = "gelu_pytorch_tanh"
    reference.config.save_pretrained(tmp_path)
    import_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation_function": "relu"}, "has activation_function 'relu'; only models with 'gelu_new'"),
        ({"n_inner": 20}, "has n_inner 20"),
        ({"n_positions": 13}, "does not fit its config.json"),
        ({"n_layer": 3}, r"has no weight transformer\.h\.2\."),
        ({"n_head": 3}, "num_attention_heads 3: Value error, must divide hidden_size 16"),
    ],
)
def test_what_is_no_gpt2_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    reference = save_reference(tmp_path, "gpt2")
    reference.config.update(change)
    reference.config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=message):
        import_model(tmp_path)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    save_reference(tmp_path, "gpt2", extra_rows=-3)
    with pytest.raises(ValueError, match=r"the tokenizer has \d+ tokens, but the model has embeddings of \d+"):
        import_model(tmp_path)


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    save_reference(tmp_path, "gpt2")
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json is missing"):
        import_model(tmp_path)


def test_an_exported_tokenizer_of_this_project_gives_the_same_tokens(tmp_path: Path) -> None:
    import transformers

    model = make_model(dropout=0.25)
    export_model(model, TOKENIZER, tmp_path / "exported")
    reference = transformers.AutoTokenizer.from_pretrained(tmp_path / "exported")
    for text in (*TEXTS[:2], "", "  two  spaces ", "🏳️‍🌈", f"not the end: {END_OF_TEXT}"):
        assert reference(text)["input_ids"] == TOKENIZER.encode(text)
        assert reference.decode(TOKENIZER.encode(text)) == text
    assert reference.eos_token_id == reference.bos_token_id == VOCABULARY.end_of_text_id
    assert (reference.pad_token_id, reference.mask_token_id) == (VOCABULARY.padding_id, VOCABULARY.mask_id)
    assert import_model(tmp_path / "exported")[0].config == model.config
