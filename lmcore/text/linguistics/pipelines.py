"""Trained spaCy pipelines: parts of speech, lemmas, entities, names of persons."""

import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from lmcore.config.clean import HOW_TO_INSTALL, Annotation
from lmcore.errors import UserError
from lmcore.runtime.files import file_digest
from lmcore.text.documents.document import ANALYSIS_SCHEMA
from lmcore.text.words.spacy_tokens import pieces_between_chunks

COMPONENTS: dict[str, tuple[str, ...]] = {
    "tags": ("tagger", "morphologizer"),
    "lemmas": ("lemmatizer", "trainable_lemmatizer", "edit_tree_lemmatizer"),
    "entities": ("ner", "entity_ruler", "span_ruler"),
}
"""The spaCy components that give an annotation, any one of them."""
SENTENCE_COMPONENTS = ("parser", "senter", "sentencizer")
PERSON_LABELS = frozenset(("PERSON", "PER"))
DOCUMENTS_PER_BATCH = 64
LONGEST_PART = 100_000
"""Characters that a pipeline reads at once, for which it takes some hundred megabytes."""


def load_trained(pipeline: str, annotations: Sequence[Annotation]) -> Language:
    """A trained pipeline that gives the annotations.

    Args:
        pipeline: name of its package, or path of its folder.
        annotations: what it is wanted for.

    Raises:
        ValueError: if it is not installed, or does not give them.
    """
    try:
        trained = spacy.load(pipeline)
    except OSError as error:
        raise UserError(f"clean.pipeline {pipeline!r} cannot be loaded: {HOW_TO_INSTALL} ({error})") from error
    for annotation in annotations:
        if not set(COMPONENTS[annotation]) & set(trained.pipe_names):
            parts, needed = ", ".join(trained.pipe_names), ", ".join(COMPONENTS[annotation])
            raise UserError(
                f"clean.pipeline {pipeline!r} gives no {annotation}: it has {parts or 'no parts'}, "
                f"and one of {needed} is needed"
            )
    if not set(SENTENCE_COMPONENTS) & set(trained.pipe_names):
        trained.add_pipe("sentencizer")
    trained.tokenizer = _cutting_long_chunks(trained.tokenizer)
    return trained


def pipeline_identity(pipeline: str) -> str:
    """What stands for the content of a pipeline that can be loaded: its version, or the bytes of all of its files."""
    folder = Path(pipeline)
    if folder.is_dir():
        return "".join(file_digest(file) for file in sorted(folder.rglob("*")) if file.is_file())
    return importlib.metadata.version(pipeline)


def person_finder(pipeline: str) -> Callable[[str], Iterator[tuple[int, int]]]:
    """A function that yields where names of persons stand in a text.

    Raises:
        ValueError: if the pipeline is not installed, or recognizes no entities.
    """
    trained = _trained(pipeline, ("entities",))

    def find(text: str) -> Iterator[tuple[int, int]]:
        for start, part in parts_of(text):
            for entity in trained(part).ents:
                if entity.label_ in PERSON_LABELS:
                    yield start + entity.start_char, start + entity.end_char

    return find


def annotate(texts: Sequence[str], pipeline: str, annotations: Sequence[Annotation]) -> pa.Table:
    """Tokens, sentences and annotations of each text, as columns of :data:`ANALYSIS_SCHEMA`.

    Raises:
        ValueError: if the pipeline is not installed, or does not give the annotations.
    """
    trained = _trained(pipeline, tuple(annotations))
    parts = [list(parts_of(text)) for text in texts]
    documents = trained.pipe((part for some in parts for _, part in some), batch_size=DOCUMENTS_PER_BATCH)
    rows = [_join([(start, _describe(next(documents), annotations)) for start, _ in some]) for some in parts]
    return pa.Table.from_pylist(rows, ANALYSIS_SCHEMA)


def parts_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield a text in parts short enough for a pipeline's memory, each with the position of its first character.

    They end with a paragraph, else with a line or a word, where there is one.
    """
    start = 0
    while len(text) - start > LONGEST_PART:
        window = text[start : start + LONGEST_PART]
        end = next((place for mark in ("\n\n", "\n", " ") if (place := window.rfind(mark)) > 0), LONGEST_PART - 1) + 1
        yield start, text[start : start + end]
        start += end
    yield start, text[start:]


def _cutting_long_chunks(tokenizer: Callable[[str], Doc]) -> Callable[[str], Doc]:
    """The tokenizer, which is shown a text in pieces where it would take long for the whole."""

    def tokenize(text: str) -> Doc:
        documents = list(map(tokenizer, pieces_between_chunks(text)))
        joined = documents[0] if len(documents) == 1 else Doc.from_docs(documents, ensure_whitespace=False)
        assert joined is not None
        return joined

    return tokenize


def _join(parts: Sequence[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
    """What was found in the parts of a text, as if it had been found in the whole."""
    if len(parts) == 1:
        return parts[0][1]
    joined: dict[str, Any] = {name: 0 if name == "n_words" else None for name in ANALYSIS_SCHEMA.names}
    for start, part in parts:
        n_tokens = len(joined["token_ends"] or [])
        moved = {
            **part,
            "token_ends": [start + end for end in part["token_ends"]],
            "sentence_ends": [start + end for end in part["sentence_ends"]],
            "entities": part["entities"]
            and [
                {**entity, "start": entity["start"] + n_tokens, "end": entity["end"] + n_tokens}
                for entity in part["entities"]
            ],
        }
        for name, values in moved.items():
            if values is not None:
                joined[name] = values if joined[name] is None else joined[name] + values
    return joined


def _describe(document: Doc, annotations: Sequence[Annotation]) -> dict[str, Any]:
    text = document.text
    # White space at the end of a text belongs to no token.
    tokens = [token for token in document if text[token.idx :].strip() or not token.is_space]
    sentences = [sentence for sentence in document.sents if sentence.start < len(tokens)]
    entities = [{"start": entity.start, "end": entity.end, "label": entity.label_} for entity in document.ents]
    return {
        "n_words": sum(not token.is_space and not token.is_punct for token in tokens),
        "token_ends": [token.idx + len(token) for token in tokens],
        "sentence_ends": [
            (last := document[min(sentence.end, len(tokens)) - 1]).idx + len(last) for sentence in sentences
        ],
        "tags": [token.pos_ or token.tag_ for token in tokens] if "tags" in annotations else None,
        "lemmas": [token.lemma_ for token in tokens] if "lemmas" in annotations else None,
        "entities": entities if "entities" in annotations else None,
    }


@cache
def _trained(pipeline: str, annotations: tuple[Annotation, ...]) -> Language:
    """Stays for the next texts: it takes seconds to load."""
    return load_trained(pipeline, annotations)
