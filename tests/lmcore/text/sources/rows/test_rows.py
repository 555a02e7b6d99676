# ruff: noqa: RUF001 (letters of many alphabets)
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.config.readers import TextLines
from lmcore.generation.chat import PLAIN_TEMPLATE
from lmcore.models.chat_template import ChatTemplate
from lmcore.text.documents.messages import Message
from lmcore.text.sources.rows.token_lists import joined_tokens
from lmcore.text.sources.rows.values import as_label
from tests.lmcore.finetuning.conversations import TOKENIZER
from tests.lmcore.text.sources.reader import lines_and_reasons, read, records, rows_in, texts, write


@pytest.mark.parametrize("value", [1, 1.0, "1", "1.0", " 1", "1.", "+1", Decimal("1.00"), "1\n"])
def test_a_whole_number_is_one_class_however_it_is_written(value: object) -> None:
    assert as_label(value, "label") == "1"


@given(st.integers(-(10**15), 10**15))
def test_every_whole_number_is_the_same_class_as_a_float_or_a_string(number: int) -> None:
    forms = (number, float(number), str(number), f"{number}.0", f" {number} ", json.dumps(float(number)))
    assert {as_label(form, "label") for form in forms if "e" not in str(form)} == {str(number)}


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("01", "01"),
        ("1.50", "1.50"),
        ("3.10", "3.10"),
        (0.5, "0.5"),
        (-0.0, "0"),
        ("-0", "0"),
        ("1e3", "1e3"),
        ("1.0.0", "1.0.0"),
        (True, "true"),
        ("True", "True"),
        ("Spam", "Spam"),
        (" spam ham ", "spam ham"),
        ("x" * 500, "x" * 500),
        (date(2024, 5, 1), "2024-05-01"),
        (b"ham", "ham"),
        ("", None),
        (" ", None),
        (None, None),
    ],
)
def test_other_labels_stay_what_they_are_without_space_around(value: object, label: str | None) -> None:
    assert as_label(value, "label") == label


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", '"NaN"', '"nan"', '"inf"'])
def test_what_is_no_number_is_no_class_but_a_read_error(tmp_path: Path, value: str) -> None:
    file = write(tmp_path / "rows.jsonl", b'{"text": "x", "label": %s}\n{"text": "y"}' % value.encode())
    documents, read_errors = read(records(label="label"), file)
    assert texts(documents) == ["y"]
    assert lines_and_reasons(read_errors) == [(1, "not_a_number")]


def test_a_text_is_no_label(tmp_path: Path) -> None:
    documents, read_errors = read(records(label="text"), rows_in(tmp_path / "rows.jsonl", {"text": "word " * 101}))
    assert not documents
    assert lines_and_reasons(read_errors) == [(1, "too_long")]


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("The river Elbe .", "The river Elbe."),
        ("`` Do n't , '' he said -LRB- twice -RRB- !", "\u201cDon't,\u201d he said (twice)!"),
        ('He said " yes " , and it \'s 5 % ; " no " .', 'He said "yes", and it\'s 5%; "no".'),
        ("It costs $ 5 ( or £ 4 ) ...", "It costs $5 (or £4)..."),
        ("a well @-@ known man", "a well-known man"),
        ("他 走到 河边 。 OK 吗 ？", "他走到河边。 OK 吗？"),
        ("그는 강가로 갔다 .", "그는 강가로 갔다."),
        ("L' été , c' est « beau »", "L' été, c' est «beau»"),
        ("one", "one"),
    ],
)
def test_tokens_have_the_usual_spaces_between_them(tokens: str, text: str) -> None:
    assert joined_tokens(tokens.split()) == text


def test_a_list_of_sentences_is_a_line_for_each() -> None:
    assert joined_tokens(["One sentence.", "Another", "And one more."]) == "One sentence.\nAnother\nAnd one more."


@given(st.lists(st.text("ab.,'\"( )", min_size=1, max_size=4), min_size=1))
def test_joining_tokens_loses_and_adds_nothing_but_space(tokens: list[str]) -> None:
    kept = [token for token in tokens if token.strip() != "''"]
    if kept:
        assert "".join(joined_tokens(kept).split()) == "".join("".join(kept).split())


TURNS = [
    ("system", "Be brief."),
    ("user", "Where does the river end?"),
    ("assistant", "In the sea."),
    ("user", "Which one?"),
    ("assistant", "The northern one."),
]
LINES = (
    "Be brief.\n\nUser: Where does the river end?\nAssistant: In the sea.\nUser: Which one?\nAssistant:",
    "The northern one.",
)
FORMS = {
    "messages": [{"role": role, "content": content} for role, content in TURNS],
    "parts": [{"role": role, "content": [{"type": "text", "text": content}]} for role, content in TURNS],
    "conversations": [
        {"from": {"user": "human", "assistant": "gpt"}.get(role, role), "value": content} for role, content in TURNS
    ],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_conversation_is_all_its_turns_or_its_last_answer_is_the_target(
    tmp_path: Path, form: str, ending: str
) -> None:
    path = rows_in(tmp_path / f"rows.{ending}", {form: FORMS[form]})
    ((document,), read_errors) = read(records(form), path)
    assert (document.text, document.target) == (" ".join(LINES), None)
    ((document,), more_faults) = read(records(form, target=form), path)
    assert (document.text, document.target) == LINES
    assert not read_errors + more_faults


def test_a_conversation_is_written_as_the_chat_writes_it() -> None:
    messages = [Message(role, content) for role, content in TURNS[:-1]]  # type: ignore[arg-type]
    assert TOKENIZER.decode(ChatTemplate(PLAIN_TEMPLATE, TOKENIZER).prompt(messages)) == LINES[0]


def test_empty_turns_and_turns_after_the_last_answer_are_left_out(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None}, *FORMS["messages"][3:]]
    path = rows_in(tmp_path / "a.jsonl", {"messages": [*messages, {"role": "user", "content": "Thanks"}]})
    ((document,), _) = read(records("messages", target="messages"), path)
    assert (document.text, document.target) == ("User: Hi\nUser: Which one?\nAssistant:", "The northern one.")
    path = rows_in(tmp_path / "b.jsonl", {"messages": [{"role": "tool", "content": "42"}]})
    ((document,), _) = read(records("messages", target="messages"), path)
    assert (document.text, document.target) == ("Tool: 42", None)


def test_alpaca_has_a_template_with_a_part_that_may_be_empty(tmp_path: Path) -> None:
    rows = [{"instruction": "Add", "input": "1 2", "output": "3"}, {"instruction": "Sing", "input": "", "output": "La"}]
    documents, read_errors = read(
        records("{instruction}\n\n{input}", target="output"),
        write(tmp_path / "alpaca.json", json.dumps(rows, indent=1).encode()),
    )
    assert [(document.text, document.target) for document in documents] == [("Add\n\n1 2", "3"), ("Sing", "La")]
    assert not read_errors


def test_columns_of_any_type_become_labels_and_texts(tmp_path: Path) -> None:
    table = pa.table(
        {
            "tokens": [["The", "cat", "."], ["It", "'s", "one", "."]],
            "kind": pa.array(["cat", "dog"]).dictionary_encode(),
            "day": pa.array([date(2024, 5, 1), None]),
            "price": pa.array([Decimal("1.00"), Decimal("2.50")]),
            "raw": pa.array(["é".encode(), b"\xe9"]),
            "score": pa.array([1.0, float("nan")]),
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")

    def labels(name: str) -> list[str | None]:
        return [document.label for document in read(records("tokens", label=name), tmp_path / "rows.parquet")[0]]

    assert texts(read(records("tokens"), tmp_path / "rows.parquet")[0]) == ["The cat.", "It's one."]
    assert [labels(name) for name in ("kind", "day", "price", "raw", "score")] == [
        ["cat", "dog"],
        ["2024-05-01", None],
        ["1", "2.50"],
        ["é"],
        ["1"],
    ]


CONLL = """-DOCSTART- -X- -X- O

# a comment of its own
The DT B-NP O
river NN I-NP B-LOC
. . O O

# O O O
one CD O O

broken DT
it PRP O O

last JJ O O
"""


def test_sentences_of_conll_are_documents_of_their_tokens(tmp_path: Path) -> None:
    path = write(tmp_path / "train.txt", CONLL.encode())
    documents, read_errors = read(records("word", columns=("word", "pos", "chunk", "entity"), format="conll"), path)
    assert [(document.line, document.text) for document in documents] == [
        (3, "The river."),
        (8, "# one"),
        (14, "last"),
    ]
    assert lines_and_reasons(read_errors) == [(11, "wrong_number_of_columns")]


def test_of_universal_dependencies_words_are_whole_and_comments_are_fields(tmp_path: Path) -> None:
    rest = "\t_" * 8 + "\n"
    content = "# sent_id = s1\n# text = Du pain !\n" + "".join(
        f"{number}\t{form}{rest}"
        for number, form in (("1-2", "Du"), ("1", "De"), ("2", "le"), ("3", "pain"), ("3.1", "x"), ("4", "!"))
    )
    path = write(tmp_path / "fr.conllu", content.encode())
    assert texts(read(records("form"), path)[0]) == ["Du pain!"]
    ((document,), _) = read(records("text", name="sent_id"), path)
    assert (document.text, document.name) == ("Du pain !", "s1")


@pytest.mark.parametrize(
    ("template", "labels"),
    [
        ("{ending}", ["pos", "neg", "txt"]),
        ("{stem}", ["rt-polarity", "rt-polarity", "a"]),
        ("{file}", ["rt-polarity.pos", "rt-polarity.neg", "a.txt"]),
        ("{folder}", [None, None, None]),
        ("news", ["news", "news", "news"]),
    ],
)
def test_lines_have_the_label_of_their_file(tmp_path: Path, template: str, labels: list[str | None]) -> None:
    names = ("rt-polarity.pos", "rt-polarity.neg", "a.txt")
    documents, _ = read(
        TextLines(kind="lines", label=template, encoding=None), *(write(tmp_path / name, b"text") for name in names)
    )
    assert [document.label for document in documents] == labels


@pytest.mark.parametrize("template", ["{no}", "{}", "{file"])
def test_a_label_of_lines_that_is_no_part_of_a_path_is_an_error(template: str) -> None:
    with pytest.raises(ValueError, match="label"):
        TextLines(kind="lines", label=template, encoding=None)
