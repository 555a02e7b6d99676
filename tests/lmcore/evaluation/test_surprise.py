import numpy as np
import pytest

from lmcore.evaluation.surprise import surprise_by_piece


def decode(tokens):
    return bytes(tokens).decode("utf-8", errors="replace")


def test_the_pieces_make_up_the_text_and_characters_of_several_tokens_stay_whole():
    text = "naïve 🙂 end"
    tokens = list(text.encode())
    bits = {"neural": np.arange(len(tokens), dtype=float), "ngram": np.ones(len(tokens))}
    pieces = surprise_by_piece(tokens, bits, decode)
    assert "".join(piece["text"] for piece in pieces) == text
    assert "🙂" in [piece["text"] for piece in pieces]
    assert sum(piece["bits"]["neural"] for piece in pieces) == pytest.approx(sum(range(len(tokens))))
    assert max(piece["bits"]["ngram"] for piece in pieces) == 4


def test_a_text_cut_within_a_character_ends_with_a_replacement_character():
    tokens = list("🙂".encode())[:3]
    pieces = surprise_by_piece(tokens, {"neural": np.ones(3)}, decode)
    assert [piece["text"] for piece in pieces] == ["\ufffd"]
