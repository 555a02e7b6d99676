from pathlib import Path

import pytest
import torch

from lmcore.errors import UserError
from lmcore.models.folder import save_language_model
from lmcore.models.pretrained import is_own_folder, load_pretrained
from tests.lmcore.models.huggingface.references import save_reference


@torch.no_grad()
def test_an_own_folder_and_one_of_transformers_are_loaded_alike(tmp_path: Path) -> None:
    reference, tokens = save_reference(tmp_path / "theirs", "llama 3"), torch.arange(36).view(3, 12)
    model, tokenizer = load_pretrained(tmp_path / "theirs")
    n_own = tokenizer.n_own_tokens
    torch.testing.assert_close(model(tokens)[..., :n_own], reference(tokens).logits, rtol=0, atol=1e-5)
    save_language_model(tmp_path / "own", model, tokenizer, {})
    again, _ = load_pretrained(tmp_path / "own")
    assert all(torch.equal(weight, again.state_dict()[name]) for name, weight in model.state_dict().items())
    assert [is_own_folder(tmp_path / name) for name in ("own", "theirs")] == [True, False]


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not a model folder: it has no config\.json"):
        load_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(UserError, match="has model_type 'vit'"):
        load_pretrained(tmp_path)
