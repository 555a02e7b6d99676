import unicodedata

import ftfy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.text.cleaning.normalize import REPAIRS, normalize, repair


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cafe\u0301", "caf\u00e9"),
        ("schÃ¶n", "schön"),
        ("a\u00a0b\u3000c", "a b c"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("bell\x07 and \x1b[31mred\x1b[0m", "bell and red"),
        ("\ufeffzero\u200bwidth", "zerowidth"),
        ("AT&amp;T", "AT&T"),
        ("\uff21\uff22\uff43 \uff11\uff0e\uff15\uff05 \uff41\uff20\uff42", "ABc 1.5% a@b"),
        ("\uff76\uff9e\uff61", "ガ\u3002"),
        ("你\uff0c好\uff01\uff08\uff1f\uff09\uff1a\u3002", "你\uff0c好\uff01\uff08\uff1f\uff09\uff1a\u3002"),
        ("\n\n a  \n\n\n\nb\t\n    c \n\n", " a\n\nb\n    c"),
        ("tabs\tstay", "tabs\tstay"),
        (" \n ", ""),
    ],
)
def test_texts_that_say_the_same_become_the_same(text: str, expected: str) -> None:
    assert normalize(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the page\fand the next", "the page\nand the next"),
        ("a line\x0bin a cell", "a line\nin a cell"),
        ("one\x1crecord\x1danother\x1efield\x1funit", "one\nrecord\nanother\nfield unit"),
        ("caf\u00e9\x0band more", "caf\u00e9\nand more"),
        ("N\x08NA\x08AM\x08ME\x08E of a _\x08t_\x08o_\x08o_\x08l", "NAME of a tool"),
        ("bell\x07 rings\x00", "bell rings"),
    ],
)
def test_no_control_character_joins_words(text: str, expected: str) -> None:
    assert normalize(text) == expected


# What ftfy drops though it divides words, and marks overprinted characters.
DIVIDING = "\x08\x0b\x0c\x1c\x1d\x1e\x1f"


@given(st.text(alphabet=st.characters(max_codepoint=127, exclude_characters=DIVIDING)))
def test_ascii_is_repaired_as_by_ftfy(text: str) -> None:
    repaired = ftfy.fix_text(text, REPAIRS)
    assert normalize(text) == normalize(repaired)


PIECES = ["é", "\u2028", "\x85", "\r", "\n", "<", "&amp;", "&lt;", "\x1b[0m", "Ã©", "ﬁ", "\u200b", "ï¼", " ", "a"]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_lines_in_order_among_others_are_repaired_as_by_ftfy(text: str) -> None:
    assert repair(text) == ftfy.fix_text(text, REPAIRS)


@given(st.text())
def test_the_result_is_composed_and_free_of_control_characters(text: str) -> None:
    result = normalize(text)
    assert unicodedata.is_normalized("NFC", result)
    assert not any(unicodedata.category(character) == "Cc" for character in result if character not in "\n\t")
    assert not any(line != line.rstrip() for line in result.split("\n"))
    assert "\n\n\n" not in result
    result.encode()
