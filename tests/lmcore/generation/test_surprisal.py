"""The spans of a text are whole characters and words, and have the surprisal of their tokens."""

import numpy as np
import pytest

from lmcore.config.tokenize import WordsConfig
from lmcore.generation.surprisal import span_surprisals, text_spans
from lmcore.tokens.tokenizer.training import train_tokenizer


def decode(tokens: list[int]) -> str:
    return bytes(tokens).decode("utf-8", errors="replace")


def test_the_spans_make_up_the_text_and_characters_of_several_tokens_stay_whole() -> None:
    text = "naïve 🙂 end"
    tokens = list(text.encode())
    spans = text_spans(tokens, decode)
    assert "".join(span.text for span in spans) == text
    assert "🙂" in [span.text for span in spans]
    assert [span.start for span in spans[1:]] == [span.end for span in spans[:-1]]
    assert (spans[0].start, spans[-1].end) == (0, len(tokens))
    assert max(span.end - span.start for span in spans) == 4


def test_a_span_has_the_surprisal_of_its_tokens() -> None:
    tokens = list("a🙂".encode())
    assert span_surprisals(tokens, np.log([0.5, 0.5, 0.25, 0.5, 1.0]).tolist(), decode) == [
        ("a", pytest.approx(1.0)),
        ("🙂", pytest.approx(4.0)),
    ]


def test_a_text_truncated_within_a_character_ends_with_a_replacement_character() -> None:
    assert [span.text for span in text_spans(list("🙂".encode())[:3], decode)] == ["\ufffd"]


def test_words_are_separated_by_spaces() -> None:
    words = WordsConfig(kind="words", language=None, max_words=None, min_count=1, lowercase=False)
    tokenizer = train_tokenizer(["one two three"], words)
    spans = text_spans(tokenizer.encode("three one two"), tokenizer.decode)
    assert [span.text for span in spans] == ["three", " one", " two"]
