import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.text.words.hashes import run_hashes, word_hashes

words = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12)


@given(st.lists(words.map(" ".join), min_size=1, max_size=8), st.integers(1, 4))
def test_hashes_of_runs_are_equal_where_the_runs_are(texts: list[str], n_words: int) -> None:
    (hashed,) = word_hashes(texts)
    runs, offsets = run_hashes(hashed, n_words)
    by_run: dict[tuple[str, ...], set[int]] = {}
    for text, start, end in zip(texts, offsets, offsets[1:], strict=False):
        words_of_text = text.split()
        assert end - start == max(len(words_of_text) - n_words + 1, 0)
        for start_of_run, value in enumerate(runs[start:end].tolist()):
            by_run.setdefault(tuple(words_of_text[start_of_run : start_of_run + n_words]), set()).add(value)
    values = [value for group in by_run.values() for value in group]
    assert len(values) == len(set(values)) == len(by_run)


@pytest.mark.parametrize(
    ("text", "n_words"),
    [
        ("Hello, world! hello \u201cquoted\u201d don't", 6),
        ("x1_y 3.14", 3),
        ("\u4e2d\u6587 text \u5b57", 4),
        ("\u3053\u3093abc", 3),
        ("\xc4\xd6 stra\xdfe \u043c\u0438\u0440", 3),
        ("\u0e20\u0e32\u0e29\u0e32 \u1797\u17b6", 6),
        ("\u0939\u093f\u0928\u094d\u0926\u0940 \u00abici\u00bb\u2014l\u00e0", 3),
        ("\u4f60\uff0c\u597d\u3002", 2),
        ("", 0),
        ("...", 0),
        ("a\x00b", 2),
    ],
)
def test_words_are_runs_of_letters_and_chinese_characters_alone(text: str, n_words: int) -> None:
    assert sum(len(batch.words) for batch in word_hashes([text])) == n_words


SIGNS = ("IDEOGRAPHIC ITERATION", "IDEOGRAPHIC CLOSING", "IDEOGRAPHIC NUMBER")


UNSPACED = (
    "CJK UNIFIED",
    "CJK COMPATIBILITY",
    *SIGNS,
    "HIRAGANA",
    "KATAKANA",
    "THAI",
    "LAO",
    "TIBETAN",
    "MYANMAR",
    "KHMER",
)


WRITTEN = st.characters(categories=["L", "M", "Nd", "P", "Zs"], max_codepoint=0xA000, exclude_characters="\u0130\u1e9e")


@given(st.text(WRITTEN))
def test_words_end_where_the_names_of_characters_say_so(text: str) -> None:
    marked = ""
    for character in text.lower():
        if unicodedata.category(character)[0] in "PZ" and unicodedata.category(character) != "Pc":
            marked += " "
        elif unicodedata.name(character, "").startswith(UNSPACED):
            marked += f" {character} "
        else:
            marked += character
    assert sum(len(batch.words) for batch in word_hashes([text])) == len(marked.split())


def test_words_are_the_same_in_any_case_and_any_company() -> None:
    alone = [batch.words for batch in word_hashes(["Berlin"])]
    (together,) = word_hashes(["x BERLIN y"])
    assert alone[0][0] == together.words[1]
