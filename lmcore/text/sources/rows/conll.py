"""Sentences in the formats of the CoNLL shared tasks: a line per token, columns, a blank line after a sentence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lmcore.text.documents.document import InputError
from lmcore.text.sources.input_files.input_file import InputFile
from lmcore.text.sources.input_files.text_lines import text_lines
from lmcore.text.sources.rows.nested_rows import Row

SentenceRows = Iterator[tuple[int, Row | InputError]]

UNIVERSAL_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
"""The columns of CoNLL-U, https://universaldependencies.org/format.html."""
BEGIN_OF_DOCUMENT = "-DOCSTART-"


@dataclass(slots=True)
class _Sentence:
    """A sentence: the line where it begins, its comments and its tokens."""

    begin: int
    comments: dict[str, str] = field(default_factory=dict)
    tokens: list[list[str]] = field(default_factory=list)
    n_bytes: int = 0
    problem: InputError | None = None


def sentence_rows(file: InputFile, columns: Sequence[str] | None, delimiter: str | None) -> SentenceRows:
    """Yield the line where each sentence begins, and a row with a list of values for every column.

    Without names, columns are called ``0``, ``1`` and so on; in ``.conllu`` files they have the names of CoNLL-U.
    Comments (``# text = ...``) are fields, too. Multiword tokens of CoNLL-U are kept whole, without their parts.

    Args:
        file: the file.
        columns: the names of the columns, if configured.
        delimiter: between columns; None for tabs if a line has any, else spaces.

    Raises:
        InputError: with its line, if the rest of the file cannot be read.
    """
    if columns is None and file.format == ".conllu":
        columns = UNIVERSAL_COLUMNS
    sentence: _Sentence | None = None
    for line, text in text_lines(file):
        if isinstance(text, str) and (not text.strip() or text.startswith(BEGIN_OF_DOCUMENT)):
            if sentence is not None:
                yield from _row(sentence, columns)
            sentence = None
            continue
        sentence = sentence or _Sentence(line)
        if isinstance(text, InputError):
            sentence.problem = sentence.problem or text
        elif sentence.n_bytes <= file.max_bytes:
            sentence.n_bytes += len(text)
            _add_line(sentence, text, columns, delimiter)
        else:
            sentence.tokens.clear()
            sentence.problem = file.too_long("the sentence")
    if sentence is not None:
        yield from _row(sentence, columns)


def _add_line(sentence: _Sentence, text: str, columns: Sequence[str] | None, delimiter: str | None) -> None:
    values = text.split(delimiter or ("\t" if "\t" in text else None))
    n_columns = len(columns) if columns is not None else len(sentence.tokens[0]) if sentence.tokens else len(values)
    is_comment = text.startswith("#") and not sentence.tokens and (text.startswith("# ") or len(values) != n_columns)
    if is_comment and not (columns is not None and len(values) == n_columns):
        name, has_value, value = text[1:].partition("=")
        if has_value:
            sentence.comments[name.strip()] = value.strip()
    elif len(values) == n_columns:
        sentence.tokens.append(values)
    else:
        detail = f"a token has {len(values)} columns in a sentence with {n_columns}"
        sentence.problem = sentence.problem or InputError("wrong_number_of_columns", detail)


def _row(sentence: _Sentence, columns: Sequence[str] | None) -> SentenceRows:
    if sentence.problem is not None:
        yield sentence.begin, sentence.problem
    elif sentence.tokens:
        tokens = _whole_words(sentence.tokens) if columns is UNIVERSAL_COLUMNS else sentence.tokens
        names = columns or [str(number) for number in range(len(tokens[0]))]
        lists = (list(values) for values in zip(*tokens, strict=True))
        yield sentence.begin, {**sentence.comments, **dict(zip(names, lists, strict=True))}


def _whole_words(tokens: Sequence[list[str]]) -> list[list[str]]:
    """The tokens without parts of multiword tokens (``3`` and ``4`` after ``3-4``) and empty nodes (``5.1``)."""
    words = []
    last_part = 0
    for token in tokens:
        first, _, last = token[0].partition("-")
        if last.isdecimal():
            last_part = int(last)
        elif "." in first or (first.isdecimal() and int(first) <= last_part):
            continue
        words.append(token)
    return words
