import time
from itertools import pairwise

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.text.words import spacy_tokens
from lmcore.text.words.analysis import analyze, spacy_tokenizer
from lmcore.text.words.segmentation import token_spans

WORDS = """. ! ? ... e.g. don't a.m. U.S. x Hello (it's) np.array([1, http://a.b/c?d=e 100% :) ) : ``code`` -- #1
Café e.g ...x § 。 你好 😀"""
words = st.sampled_from(WORDS.split())
spaces = st.sampled_from([" ", "  ", "\n", "\n\n", "\n    ", " \n", "\t", "", " \n \n "])
texts = st.lists(st.tuples(words | st.text(max_size=5), spaces), max_size=30).map(
    lambda pairs: "".join(word + space for word, space in pairs)
)
english = spacy.blank("en")
english.add_pipe("sentencizer")
chinese = spacy.blank("zh")


@settings(max_examples=50)
@given(st.lists(texts, min_size=1, max_size=4))
def test_tokens_are_those_of_spacy(batch: list[str]) -> None:
    for text, analysis in zip(batch, analyze(batch, "en").to_pylist(), strict=True):
        document = english(text.rstrip())
        assert [text[start:end] for start, end in token_spans(text, analysis["token_ends"])] == [
            token.text for token in document
        ]
        assert analysis["n_words"] == sum(not token.is_punct and not token.is_space for token in document)


@settings(max_examples=50)
@given(st.lists(texts.filter(lambda text: "\n" not in text), min_size=1, max_size=4))
def test_sentences_of_a_paragraph_are_those_of_spacy(batch: list[str]) -> None:
    for text, analysis in zip(batch, analyze(batch, "en").to_pylist(), strict=True):
        expected = [sentence.text.strip() for sentence in english(text).sents]
        assert sentences(text, analysis["sentence_ends"]) == [sentence for sentence in expected if sentence]


@settings(max_examples=50)
@given(st.lists(texts, min_size=1, max_size=4))
def test_sentences_hold_every_token_once(batch: list[str]) -> None:
    for analysis in analyze(batch, "en").to_pylist():
        ends = analysis["sentence_ends"]
        assert ends == sorted(set(ends))
        assert set(ends) <= set(analysis["token_ends"])
        assert ends[-1:] == analysis["token_ends"][-1:]


@settings(max_examples=50)
@given(st.lists(texts, max_size=6))
def test_a_text_is_read_the_same_in_any_company(batch: list[str]) -> None:
    alone = [analyze([text], "en").to_pylist()[0] for text in batch]
    assert analyze(batch, "en").to_pylist() == alone
    assert analyze(batch[::-1], "en").to_pylist() == alone[::-1]


def test_a_blank_line_ends_a_sentence_and_white_space_belongs_to_the_sentence_before() -> None:
    text = "A title\n\nFirst. Second\nline.\n\n   \n>>> code"
    (analysis,) = analyze([text], "en").to_pylist()
    assert sentences(text, analysis["sentence_ends"]) == ["A title", "First.", "Second\nline.", ">>> code"]


def test_texts_may_be_long() -> None:
    text = "One two three four. Five six.\n\n" * 20_000
    (analysis,) = analyze([text], "en").to_pylist()
    assert len(analysis["token_ends"]) == len(english.tokenizer(text.rstrip()))
    assert len(analysis["sentence_ends"]) == 40_000


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize(
    "text",
    ["(" * 300_000, "http://" * 28_000, f"See http://a.b/{'c/d?e=%20' * 600} for more."],
    ids=["brackets", "schemes", "address"],
)
def test_a_run_of_anything_without_a_space_is_read_in_no_time(text: str, language: str) -> None:
    start = time.process_time()
    (analysis,) = analyze([text], language).to_pylist()
    assert time.process_time() - start < 20
    spans = list(token_spans(text, analysis["token_ends"]))
    assert "".join(text[start:end] for start, end in spans) == text.replace(" ", "")


@pytest.mark.parametrize("language", ["en", "es"])
def test_a_word_is_cut_where_it_is_longer_than_any_word(language: str) -> None:
    long = spacy_tokens.LONGEST_CHUNK * "x"
    (analysis,) = analyze([f"{long} {long}y z"], language).to_pylist()
    assert analysis["token_ends"] == [1_000, 2_001, 2_002, 2_004]


chinese_texts = st.lists(
    st.sampled_from([*"你好我们去公园ab1 。\uff01\uff1f\n\uff0c\t", "\n\n", " \n "]), max_size=60
).map("".join)


@given(chinese_texts)
def test_chinese_tokens_are_those_of_spacy_however_a_text_is_cut(text: str) -> None:
    text = text.rstrip()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spacy_tokens, "MIN_PART_CHARACTERS", 2)
        (analysis,) = analyze([text], "zh").to_pylist()
    tokens = [text[start:end] for start, end in token_spans(text, analysis["token_ends"])]
    assert tokens == [token.text for token in chinese(text)]
    assert analyze([text], "zh").to_pylist() == [analysis]


def test_a_text_without_an_end_is_cut_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    reader = spacy_tokenizer("zh")
    tokenizer = reader._pipeline.tokenizer
    monkeypatch.setattr(reader._pipeline, "tokenizer", lambda part: read.append(part) or tokenizer(part))
    (analysis,) = analyze(["你" * 25_000], "zh").to_pylist()
    assert analysis["token_ends"] == list(range(1, 25_001))
    assert len(read) == 3
    assert max(map(len, read)) <= 10_002


@pytest.mark.parametrize(
    ("text", "ends", "tokens"),
    [
        ("ab cd", [2, 5], ["ab", "cd"]),
        ("ab cd", [2, 3, 5], ["ab", " ", "cd"]),
        ("a  b", [1, 3, 4], ["a", " ", "b"]),
        (" a", [1, 2], [" ", "a"]),
    ],
)
def test_a_space_lies_between_tokens_or_is_one(text: str, ends: list[int], tokens: list[str]) -> None:
    assert [text[start:end] for start, end in token_spans(text, ends)] == tokens


def test_languages_without_spaces_and_with_rules_across_spaces_are_read_whole() -> None:
    (analysis,) = analyze(["你好。再见。"], "zh").to_pylist()
    assert analysis["token_ends"] == [1, 2, 3, 4, 5, 6]
    assert analysis["sentence_ends"] == [3, 6]
    batch = ["Los EE. UU. son grandes.", " Y EE. UU."]
    for text, analysis in zip(batch, analyze(batch, "es").to_pylist(), strict=True):
        assert [text[start:end] for start, end in token_spans(text, analysis["token_ends"])] == [
            token.text for token in spacy.blank("es")(text)
        ]


@pytest.mark.parametrize("language", ["xx-nonsense", "ja"])
def test_a_language_that_cannot_be_read_is_an_error(language: str) -> None:
    with pytest.raises(ValueError, match=f"cannot process the language '{language}'"):
        analyze(["text"], language)


def sentences(text: str, ends: list[int]) -> list[str]:
    return [stripped for start, end in pairwise([0, *ends]) if (stripped := text[start:end].strip())]
