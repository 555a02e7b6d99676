"""The data path: cleaning against spaCy's tokenizer and datatrove's filters, near duplicates against datasketch, and
encoding against tokenizers."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import tokenizers

from benchmarks.datatrove_filters import compare_with_datatrove
from benchmarks.line import Line
from lmcore.config.clean import NearDuplicateConfig
from lmcore.config.collect import CollectConfig
from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.workers import Workers
from lmcore.text.clean import clean
from lmcore.text.cleaning.corpus import Documents, Rows
from lmcore.text.cleaning.near_duplicates import near_duplicates
from lmcore.text.cleaning.signatures import Signatures, signatures
from lmcore.text.documents.shards import read_documents, write_table
from lmcore.text.sources.collect import collect
from lmcore.text.sources.scan import scan_sources
from lmcore.text.split import document_id
from lmcore.text.words.hashes import word_hashes
from lmcore.tokens.corpus.shards import encode_documents
from lmcore.tokens.tokenizer.training import train_tokenizer
from tasks.context.parameters import Parameters, load_parameters

N_WORKERS = 2
SPACY_BYTES = 10_000_000
N_DOCUMENTS, N_COMPARED = 100_000, 5_000
SIMILARITY, SHINGLE_WORDS = 0.8, 3
N_PERMUTATIONS = 128
TEXTS_PER_TASK = 5_000
ENCODING_ROUNDS = 3
# Training the tokenizer takes time that is not measured.
TRAINING_STEP = 4
PARAMETERS = Path(__file__).parents[1] / "params.yaml"


def cleaning() -> list[Line]:
    """Megabytes per second with the default rules: of the whole stage, and of the part that datatrove covers."""
    parameters = load_parameters(PARAMETERS)
    with tempfile.TemporaryDirectory() as temporary, Workers(N_WORKERS) as workers:
        folder = Path(temporary)
        _collect(parameters, folder, workers)
        texts = read_documents(folder / "raw", ["text"])["text"].to_pylist()
        n_bytes = sum(len(text.encode()) for text in texts)
        with _stopwatch() as seconds:
            _clean(parameters, folder, workers)
        rate = n_bytes / seconds[0] / 1e6
        filtering = compare_with_datatrove(folder / "raw", folder, whole_rate=rate)
    spacy_rate = _spacy_rate(texts)
    return [
        Line(
            "cleaning by the default rules on 2 cores, against spaCy's bare tokenizer on one",
            rate,
            spacy_rate,
            "MB/s",
            rate / spacy_rate,
            1.6,
            "higher",
            f"{n_bytes / 1e6:.1f} MB of documentation",
        ),
        filtering,
    ]


def duplicates() -> list[Line]:
    """Near duplicates among 100,000 documents, against the usual loop with datasketch."""
    texts, pairs = _planted()
    config = NearDuplicateConfig(similarity=SIMILARITY, shingle_words=SHINGLE_WORDS)
    documents = Documents(
        ids=pa.array([number.to_bytes(16) for number in range(len(texts))], pa.binary(16)),
        answers=np.zeros(len(texts), np.uint64),
        labels=np.zeros(len(texts), np.int32),
        sources=np.zeros(len(texts), np.int32),
        n_bytes=np.array([len(text) for text in texts], np.int32),
        is_evaluation=np.zeros(len(texts), bool),
        is_split_given=np.zeros(len(texts), bool),
    )

    def texts_of(rows: Rows) -> list[str]:
        return [texts[row] for row in rows]

    with Workers(N_WORKERS) as workers:
        batches = [texts[start : start + TEXTS_PER_TASK] for start in range(0, len(texts), TEXTS_PER_TASK)]
        # Both processes import their modules before the measurement.
        list(workers.map(_signatures, batches[:N_WORKERS]))
        with _stopwatch() as ours:
            signed = np.concatenate(list(workers.map(_signatures, batches)))
            rows = np.arange(len(texts))
            found = near_duplicates(documents, rows, signed.__getitem__, texts_of, config)
    dropped = set(found["row"].to_pylist())
    is_near = {pair for pair in pairs if _jaccard(texts[pair[0]], texts[pair[1]]) >= SIMILARITY}
    n_right = sum(one in dropped or other in dropped for one, other in is_near)
    with _stopwatch() as theirs:
        _with_datasketch(texts[:N_COMPARED])
    seconds = theirs[0] * len(texts) / N_COMPARED
    recall, precision = n_right / len(is_near), n_right / max(len(dropped), 1)
    return [
        Line(
            "near duplicates among 100,000 documents on 2 cores, against datasketch MinHash LSH on one",
            ours[0],
            seconds,
            "s",
            seconds / ours[0],
            30.0,
            "higher",
            f"recall {recall:.3f}, precision {precision:.3f}; datasketch timed on {N_COMPARED:,} of them",
        )
    ]


def encoding() -> list[Line]:
    """Encoding a file of documents as the stage does, against a bare call of tokenizers, both without caches."""
    parameters = load_parameters(PARAMETERS)
    with tempfile.TemporaryDirectory() as temporary, Workers(N_WORKERS) as workers:
        folder = Path(temporary)
        _collect(parameters, folder, workers)
        texts = read_documents(folder / "raw", ["text"])["text"].to_pylist()
        documents = folder / "documents.parquet"
        write_table(documents, _as_clean(texts))
        content = train_tokenizer(texts[::TRAINING_STEP], parameters.tokenize.tokenizer).to_json()
        ours, theirs = [], []
        for number in range(ENCODING_ROUNDS):
            with _stopwatch() as mine:
                encode_documents(
                    documents,
                    # Trailing white space makes it another tokenizer, so that no cached result is used.
                    tokenizer=content + number * " ",
                    fractions=parameters.tokenize.split,
                    weights={},
                    cache=ArtifactCache(folder / "pieces", ""),
                )
            with _stopwatch() as other:
                bare = tokenizers.Tokenizer.from_str(content)
                bare.encode_batch(texts, add_special_tokens=False)
            ours.append(mine[0])
            theirs.append(other[0])
    n_megabytes = sum(len(text.encode()) for text in texts) / 1e6
    return [
        Line(
            "encoding documents into a shard, against tokenizers' encode_batch",
            n_megabytes / median(ours),
            n_megabytes / median(theirs),
            "MB/s",
            median(theirs) / median(ours),
            1.0,
            "higher",
            f"{n_megabytes:.1f} MB of documentation",
        )
    ]


def _as_clean(texts: Sequence[str]) -> pa.Table:
    """Texts as the columns of clean documents that encoding reads."""
    columns = {
        "id": [document_id(text) for text in texts],
        "split": pa.nulls(len(texts), pa.string()),
        "source": ["documentation"] * len(texts),
        "text": texts,
        "n_words": pa.array([len(text.split()) for text in texts], pa.int32()),
    }
    return pa.table(columns)


def _signatures(texts: Sequence[str]) -> Signatures:
    return signatures(list(word_hashes(texts)), SHINGLE_WORDS)


def _collect(parameters: Parameters, folder: Path, workers: Workers) -> None:
    config: CollectConfig = parameters.collect
    sources = scan_sources(config.sources, folder / "downloads", workers)
    collect(config, sources, folder / "raw", cache=ArtifactCache(folder / "collected", ""), workers=workers)


def _clean(parameters: Parameters, folder: Path, workers: Workers) -> None:
    clean(
        folder / "raw",
        folder / "clean",
        parameters.clean,
        parameters.tokenize.split,
        cache=ArtifactCache(folder / "cleaned", ""),
        workers=workers,
    )


def _spacy_rate(texts: Sequence[str]) -> float:
    """Megabytes per second of spaCy's tokenizer in one process."""
    import spacy

    tokenizer = spacy.blank("en").tokenizer
    n_bytes = 0
    with _stopwatch() as seconds:
        for text in texts:
            tokenizer(text)
            n_bytes += len(text.encode())
            if n_bytes > SPACY_BYTES:
                break
    return n_bytes / seconds[0] / 1e6


def _planted() -> tuple[list[str], list[tuple[int, int]]]:
    """Documents of about a hundred words, every tenth an edited copy of the one before it, and these pairs."""
    random = np.random.default_rng(1)
    texts, pairs = list[str](), list[tuple[int, int]]()
    for number in range(N_DOCUMENTS):
        if number % 10 == 9:
            words = texts[-1].split()
            for index in random.integers(len(words), size=random.integers(0, 8)):
                words[index] = f"edit{random.integers(10**6)}"
            words.append(f"end{number}")
            pairs.append((number - 1, number))
        else:
            words = [f"w{word}" for word in random.zipf(1.3, size=random.integers(60, 140)) % 50_000]
        texts.append(" ".join(words))
    return texts, pairs


def _shingles(text: str) -> set[str]:
    words = text.split()
    return {" ".join(words[start : start + SHINGLE_WORDS]) for start in range(len(words) - SHINGLE_WORDS + 1)}


def _jaccard(one: str, other: str) -> float:
    first, second = _shingles(one), _shingles(other)
    return len(first & second) / len(first | second)


def _with_datasketch(texts: Sequence[str]) -> int:
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=SIMILARITY, num_perm=N_PERMUTATIONS)
    n_found = 0
    for number, text in enumerate(texts):
        signature = MinHash(num_perm=N_PERMUTATIONS)
        signature.update_batch([shingle.encode() for shingle in _shingles(text)])
        n_found += bool(index.query(signature))
        index.insert(str(number), signature)
    return n_found


@contextmanager
def _stopwatch() -> Iterator[list[float]]:
    seconds: list[float] = []
    start = time.perf_counter()
    yield seconds
    seconds.append(time.perf_counter() - start)
