"""Annotation by trained spaCy pipelines: parts of speech, lemmas, entities, names of persons."""

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
from lmcore.text.words.spacy_tokens import parts_with_cut_chunks

COMPONENTS: dict[str, tuple[str, ...]] = {
    "tags": ("tagger", "morphologizer"),
    "lemmas": ("lemmatizer", "trainable_lemmatizer", "edit_tree_lemmatizer"),
    "entities": ("ner", "entity_ruler", "span_ruler"),
}
"""The spaCy components of which any one provides an annotation."""
SENTENCE_COMPONENTS = ("parser", "senter", "sentencizer")
PERSON_LABELS = frozenset(("PERSON", "PER"))
DOCUMENTS_PER_BATCH = 64
LONGEST_PART = 100_000
"""Characters that a pipeline processes at once, which takes several hundred megabytes."""


def load_trained(pipeline: str, annotations: Sequence[Annotation]) -> Language:
    """Load a trained pipeline.

    Args:
        pipeline: name of its package, or path of its folder.
        annotations: the annotations that it must provide.

    Raises:
        UserError: if it is not installed, or does not provide an annotation.
    """
    try:
        trained = spacy.load(pipeline)
    except OSError as error:
        raise UserError(f"the spaCy pipeline {pipeline!r} cannot be loaded: {HOW_TO_INSTALL} ({error})") from error
    for annotation in annotations:
        if not set(COMPONENTS[annotation]) & set(trained.pipe_names):
            parts, needed = ", ".join(trained.pipe_names), ", ".join(COMPONENTS[annotation])
            raise UserError(
                f"the spaCy pipeline {pipeline!r} provides no {annotation}: it has {parts or 'no components'}, "
                f"and one of {needed} is needed"
            )
    if not set(SENTENCE_COMPONENTS) & set(trained.pipe_names):
        trained.add_pipe("sentencizer")
    trained.tokenizer = _cutting_long_chunks(trained.tokenizer)
    return trained


def pipeline_identity(pipeline: str) -> str:
    """A string that identifies the content of an installed pipeline: its version, or the hashes of its files."""
    folder = Path(pipeline)
    if folder.is_dir():
        return "".join(file_digest(file) for file in sorted(folder.rglob("*")) if file.is_file())
    return importlib.metadata.version(pipeline)


def person_finder(pipeline: str) -> Callable[[str], Iterator[tuple[int, int]]]:
    """A function that yields the spans of person names in a text.

    Raises:
        UserError: if the pipeline is not installed, or recognizes no entities.
    """
    trained = _trained(pipeline, ("entities",))

    def find(text: str) -> Iterator[tuple[int, int]]:
        for start, part in parts_of(text):
            for entity in trained(part).ents:
                if entity.label_ in PERSON_LABELS:
                    yield start + entity.start_char, start + entity.end_char

    return find


def annotate(texts: Sequence[str], pipeline: str, annotations: Sequence[Annotation]) -> pa.Table:
    """The tokens, sentences and annotations of each text, as a table of :data:`ANALYSIS_SCHEMA`.

    Raises:
        UserError: if the pipeline is not installed, or does not provide the annotations.
    """
    trained = _trained(pipeline, tuple(annotations))
    parts = [list(parts_of(text)) for text in texts]
    documents = trained.pipe((part for own in parts for _, part in own), batch_size=DOCUMENTS_PER_BATCH)
    rows = [_merge_parts([(start, _analysis(next(documents), annotations)) for start, _ in own]) for own in parts]
    return pa.Table.from_pylist(rows, ANALYSIS_SCHEMA)


def parts_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield the parts of a text, short enough for a pipeline's memory, each with its start position in characters.

    A part ends after a paragraph if possible, else after a line or a word.
    """
    start = 0
    while len(text) - start > LONGEST_PART:
        window = text[start : start + LONGEST_PART]
        end = next((found for mark in ("\n\n", "\n", " ") if (found := window.rfind(mark)) > 0), LONGEST_PART - 1) + 1
        yield start, text[start : start + end]
        start += end
    yield start, text[start:]


def _cutting_long_chunks(tokenizer: Callable[[str], Doc]) -> Callable[[str], Doc]:
    """Wrap a tokenizer so that it cuts very long chunks, for which it would take too much time."""

    def tokenize(text: str) -> Doc:
        documents = list(map(tokenizer, parts_with_cut_chunks(text)))
        joined = documents[0] if len(documents) == 1 else Doc.from_docs(documents, ensure_whitespace=False)
        assert joined is not None
        return joined

    return tokenize


def _merge_parts(parts: Sequence[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
    """Merge the analyses of the parts of a text, given with their start positions, into one."""
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


def _analysis(document: Doc, annotations: Sequence[Annotation]) -> dict[str, Any]:
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
    """The pipeline, cached because it takes seconds to load."""
    return load_trained(pipeline, annotations)
