"""A conversation in the terminal."""

import io
import sys

import pytest

from lmcore.command_line.chat import chat
from lmcore.generation.chat import ChatGenerator
from lmcore.generation.generator import Generator
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
