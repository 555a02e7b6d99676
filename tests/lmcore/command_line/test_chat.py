"""A conversation in the terminal."""

import io
import sys
from pathlib import Path

import pytest

from lmcore.command_line.chat import chat
from lmcore.command_line.chat_command import main
from lmcore.config.training import LoRAConfig
from lmcore.finetuning.adaptation import add_adapters
from lmcore.finetuning.adapter_folder import save_adapter
from lmcore.generation.chat import ChatGenerator
from lmcore.generation.generator import Generator
from lmcore.models.folder import save_language_model
from lmcore.models.generative import GenerativeModel
from tests.lmcore.finetuning.conversations import TEMPLATE, TOKENIZER, small_model
from tests.lmcore.generation.toy_models import settings


def test_every_line_is_answered_and_what_no_longer_fits_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = small_model()
    assert isinstance(model, GenerativeModel)
    generator = ChatGenerator(Generator(model, TOKENIZER), TEMPLATE)
    monkeypatch.setattr(sys, "stdin", io.StringIO("What is one?\n  \nAnd two?\n" * 3))
    chat(generator, settings(max_new_tokens=8), "Be kind.")
    shown = capsys.readouterr()
    assert shown.out.count("> ") == 10
    notes = shown.err.splitlines()
    assert notes
    assert len(set(notes)) == len(notes)
    assert all("messages are left out" in note for note in notes)


def test_a_model_without_a_template_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = small_model()
    assert isinstance(model, GenerativeModel)
    monkeypatch.setattr(sys, "stdin", None)
    chat(ChatGenerator(Generator(model, TOKENIZER), None), settings(), None)
    assert "not trained on conversations" in capsys.readouterr().err


def test_adapters_of_a_chat_model_bring_its_template_to_their_base(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = small_model()
    save_language_model(tmp_path / "base", model, TOKENIZER, {})
    add_adapters(model, LoRAConfig(rank=2, alpha=2.0, dropout=0.0, save_adapter=True), seed=1)
    save_adapter(tmp_path / "adapter", model, chat_template=TEMPLATE.source)
    for options, is_said in (([], True), (["--adapter", str(tmp_path / "adapter")], False)):
        monkeypatch.setattr(sys, "stdin", io.StringIO("What is one?\n"))
        main([str(tmp_path / "base"), "--max-new-tokens", "4", *options])
        assert ("not trained on conversations" in capsys.readouterr().err) == is_said
