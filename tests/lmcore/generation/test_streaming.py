"""A stream's chunks are whole characters, have no part of a stop string, and join to the whole text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.config.tokenize import BytePairConfig, CharactersConfig, WordsConfig
from lmcore.generation.generator import may_join_bytes
from lmcore.generation.streaming import TextStreamer, truncate_at_stop_string
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.training import train_tokenizer

TEXTS = ["Grüße, 世界! aaab aaab aab"] * 3
TOKENIZER = train_tokenizer(TEXTS, BytePairConfig(kind="byte_pair", vocabulary_size=290))
TOKENIZERS = {
    "byte pairs": TOKENIZER,
    "characters": train_tokenizer(TEXTS, CharactersConfig(kind="characters", min_count=1)),
    "words": train_tokenizer(
        TEXTS, WordsConfig(kind="words", language=None, max_words=None, min_count=1, lowercase=False)
    ),
}


def stream(tokens: list[int], stops: tuple[str, ...], tokenizer: Tokenizer = TOKENIZER) -> list[str]:
    text = TextStreamer(tokenizer.decode, stops, lambda token: may_join_bytes(tokenizer, token))
    return [*(text.put(token) for token in tokens), text.end()]


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(data=st.data(), stops=st.lists(st.text("ab ü世", min_size=1, max_size=4), max_size=3).map(tuple))
def test_chunks_of_any_tokens_join_to_the_text_before_the_first_stop_string(
    kind: str, data: st.DataObject, stops: tuple[str, ...]
) -> None:
    tokenizer = TOKENIZERS[kind]
    tokens = data.draw(st.lists(st.integers(0, tokenizer.vocabulary.size - 1), max_size=30))
    assert "".join(stream(tokens, stops, tokenizer)) == truncate_at_stop_string(tokenizer.decode(tokens), stops)


@given(st.text("ab ü世!", max_size=20), st.text("ab ü世!", min_size=1, max_size=4))
def test_chunks_of_a_text_are_whole_characters_and_no_part_of_a_stop_string(text: str, stop: str) -> None:
    pieces = stream(TOKENIZER.encode(text), (stop,))
    shown = ""
    for piece in pieces[:-1]:
        assert "\ufffd" not in piece
        shown += piece
        assert text.split(stop)[0].startswith(shown)
    assert shown + pieces[-1] == text.split(stop)[0]


def test_a_character_of_several_tokens_comes_in_one_chunk() -> None:
    tokens = TOKENIZER.encode("€")
    assert len(tokens) == 3
    assert stream(tokens, ()) == ["", "", "€", ""]


@pytest.mark.parametrize(("stops", "expected"), [(("b", "aa"), ""), (("xb",), "aab"), (("b",), "aa")])
def test_the_stop_string_that_begins_first_ends_the_text(stops: tuple[str, ...], expected: str) -> None:
    assert truncate_at_stop_string("aab", stops) == expected
