"""BERT: padding is not read, what is no BERT is refused, and the settings of pretraining come back."""

from pathlib import Path

import pytest
import torch

from lmcore.models.huggingface.folder import export_model, import_model
from tests.lmcore.models.huggingface.references import save_reference


@torch.no_grad()
def test_padded_sequences_have_the_logits_of_the_reference_and_those_without_padding(tmp_path: Path) -> None:
    reference = save_reference(tmp_path, "bert")
    model, tokenizer = import_model(tmp_path)
    padding = tokenizer.vocabulary.padding_id
    tokens = torch.randint(5, tokenizer.vocabulary.size, (3, 12), generator=torch.Generator().manual_seed(1))
    is_text = torch.arange(12) < torch.tensor([12, 5, 8])[:, None]
    tokens = tokens.where(is_text, padding)
    logits = model(tokens)
    expected = reference(tokens, attention_mask=is_text.long()).logits
    torch.testing.assert_close(logits[is_text], expected[is_text], rtol=0, atol=1e-5)
    torch.testing.assert_close(logits[1, :5], model(tokens[1:2, :5])[0], rtol=0, atol=1e-5)


def test_documents_begin_and_end_as_the_tokenizer_says(tmp_path: Path) -> None:
    save_reference(tmp_path, "bert")
    _, tokenizer = import_model(tmp_path)
    vocabulary = tokenizer.vocabulary
    names = (vocabulary.start_id, vocabulary.end_of_text_id, vocabulary.padding_id, vocabulary.mask_id)
    assert [tokenizer.name_of(identity) for identity in names] == ["[CLS]", "[SEP]", "[PAD]", "[MASK]"]


def test_what_is_no_bert_is_refused(tmp_path: Path) -> None:
    save_reference(tmp_path, "bert", hidden_act="relu")
    with pytest.raises(ValueError, match="has hidden_act 'relu'; only models with 'gelu'"):
        import_model(tmp_path)


def test_the_settings_of_pretraining_come_back(tmp_path: Path) -> None:
    save_reference(tmp_path, "bert")
    model, tokenizer = import_model(tmp_path)
    assert model.config.masking.mlm_probability == 0.15
    masking = model.config.masking.model_copy(update={"mlm_probability": 0.3})
    model.config = model.config.model_copy(update={"masking": masking})
    export_model(model, tokenizer, tmp_path / "exported")
    assert import_model(tmp_path / "exported")[0].config == model.config
