"""Large synthetic corpora: words with their frequencies in documentation, and a few new ones."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import numpy as np
import psutil

from benchmarks.line import Line
from benchmarks.worker import Action, worker
from lmcore.config.clean import CleanConfig
from lmcore.config.collect import CollectConfig
from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.workers import Workers
from lmcore.text.clean import clean
from lmcore.text.documents.shards import read_documents, shards_of
from lmcore.text.sources.collect import collect
from lmcore.text.sources.scan import scan_sources
from lmcore.tokens.corpus.shards import write_shards
from lmcore.tokens.corpus.training_texts import TrainingTexts
from lmcore.tokens.tokenizer.training import train_tokenizer
from tasks.context.parameters import load_parameters
from tasks.context.process_start import START_SETTINGS

N_WORKERS = 2
LARGE_BYTES, GROWN_BYTES = 5_000_000_000, 1_000_000_000
BYTES_PER_FILE = 50_000_000
WORDS_OF_DOCUMENTS = (100, 900)
WORDS_OF_SENTENCES = 12
NEW_WORDS = 1 / 400
"""Ratio of words that occur nowhere else, like names and numbers."""
GIGABYTE = 1e9
SAMPLING_SECONDS = 0.5
PARAMETERS = Path(__file__).parents[1] / "params.yaml"


def large_corpus() -> list[Line]:
    """Five gigabytes from files to tokens: memory of the largest process, and time of each stage."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        vocabulary = _documentation_words(folder)
        for number in range(LARGE_BYTES // BYTES_PER_FILE):
            _write_documents(folder / "source", number, vocabulary)
        with worker(partial(_all_stages, folder), START_SETTINGS) as act:
            _, found = act()
    stages = ", ".join(f"{name} {seconds:,.0f} s" for name, seconds in found["seconds"].items())
    peak = found["peak_bytes"] / GIGABYTE
    return [
        Line(
            f"{LARGE_BYTES / GIGABYTE:.0f} GB from files to tokens, resident memory of the largest process",
            peak,
            None,
            "GB",
            peak,
            2.0,
            "lower",
            f"{found['documents']:,} documents; all processes {found['total_bytes'] / GIGABYTE:.1f} GB; {stages}",
        )
    ]


def growing_corpus() -> list[Line]:
    """One percent of new documents added to a corpus that has been collected and cleaned."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        vocabulary = _documentation_words(folder)
        n_files = GROWN_BYTES // BYTES_PER_FILE
        for number in range(n_files):
            _write_documents(folder / "source", number, vocabulary)
        whole = _seconds_of_collect_and_clean(folder)
        _write_documents(folder / "source", n_files, vocabulary, n_bytes=GROWN_BYTES // 100)
        more = _seconds_of_collect_and_clean(folder)
    return [
        Line(
            "collecting and cleaning again with 1 % new documents, fraction of the full time",
            more,
            whole,
            "s",
            more / whole,
            0.05,
            "lower",
            f"{GROWN_BYTES / GIGABYTE:.0f} GB",
        )
    ]


class MemoryWatch:
    """Samples the memory of this process and its children while the block runs.

    Attributes:
        peak_bytes: the largest resident size of any of them.
        total_bytes: the largest resident size of all of them together.
    """

    def __init__(self) -> None:
        self.peak_bytes = self.total_bytes = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _sample(self) -> None:
        process = psutil.Process()
        while not self._is_over.wait(SAMPLING_SECONDS):
            sizes = [_resident_bytes(one) for one in (process, *process.children(recursive=True))]
            self.peak_bytes = max(self.peak_bytes, *sizes)
            self.total_bytes = max(self.total_bytes, sum(sizes))


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _all_stages(folder: Path) -> Action:
    def run() -> dict[str, Any]:
        parameters = load_parameters(PARAMETERS)
        split = parameters.tokenize.split
        seconds: dict[str, float] = {}
        with MemoryWatch() as watch:
            with _timed("collect", seconds), Workers(N_WORKERS) as workers:
                _collect(folder, workers)
            with _timed("clean", seconds), Workers(N_WORKERS) as workers:
                summary = _clean(folder, workers)
            with _timed("train tokenizer", seconds):
                documents = shards_of(folder / "clean")
                tokenizer = train_tokenizer(TrainingTexts(documents, split), parameters.tokenize.tokenizer)
            with _timed("encode", seconds), Workers(N_WORKERS) as workers:
                cache = ArtifactCache(folder / "pieces" / "encode", "")
                write_shards(folder / "tokens", tokenizer, documents, split, weights={}, cache=cache, workers=workers)
        sizes = {"peak_bytes": watch.peak_bytes, "total_bytes": watch.total_bytes}
        return sizes | {"documents": summary["kept"], "seconds": seconds}

    return run


def _seconds_of_collect_and_clean(folder: Path) -> float:
    start = time.perf_counter()
    with Workers(N_WORKERS) as workers:
        _collect(folder, workers)
        _clean(folder, workers)
    return time.perf_counter() - start


def _collect(folder: Path, workers: Workers) -> None:
    config = load_parameters(PARAMETERS).collect.model_dump(mode="json")
    location = {"kind": "local", "paths": [str(folder / "source")]}
    reader = {
        "kind": "records",
        "text": "text",
        "label": None,
        "target": None,
        "name": None,
        "columns": None,
        "rows": None,
        "format": None,
        "delimiter": None,
        "quoting": "auto",
        "encoding": None,
    }
    source = config["sources"][0] | {"name": "large", "location": location, "reader": reader, "license": "CC0-1.0"}
    collecting = CollectConfig.model_validate_json(json.dumps(config | {"sources": [source]}))
    pinned = scan_sources(collecting.sources, folder / "downloads", workers)
    collect(collecting, pinned, folder / "raw", cache=ArtifactCache(folder / "pieces" / "collect", ""), workers=workers)


def _clean(folder: Path, workers: Workers) -> dict[str, Any]:
    parameters = load_parameters(PARAMETERS)
    # All documents have the same label: a size limit for each label would leave almost nothing.
    settings = parameters.clean.model_dump(mode="json") | {"max_bytes_per_label": None}
    cleaning = CleanConfig.model_validate_json(json.dumps(settings))
    cache = ArtifactCache(folder / "pieces" / "clean", "")
    return clean(folder / "raw", folder / "clean", cleaning, parameters.tokenize.split, cache=cache, workers=workers)


def _documentation_words(folder: Path) -> Counter[str]:
    """Word frequencies in the documentation of the libraries that this project uses."""
    config = load_parameters(PARAMETERS).collect
    cache = ArtifactCache(folder / "pieces" / "documentation", "")
    with Workers(N_WORKERS) as workers:
        sources = scan_sources(config.sources, folder / "downloads", workers)
        collect(
            config,
            sources,
            folder / "documentation",
            cache=cache,
            workers=workers,
        )
    texts = read_documents(folder / "documentation", ["text"])["text"].to_pylist()
    return Counter(word for text in texts for word in text.split() if word.isalpha())


def _write_documents(folder: Path, number: int, words: Counter[str], n_bytes: int = BYTES_PER_FILE) -> None:
    """Write a file of documents as JSON lines; ``number`` is the seed of its content."""
    random = np.random.default_rng(number)
    known = np.array(list(words), object)
    shares = np.array(list(words.values())) / words.total()
    folder.mkdir(exist_ok=True)
    with (folder / f"{number:04d}.jsonl").open("w", encoding="utf-8") as file:
        while file.tell() < n_bytes:
            drawn = known[random.choice(len(known), WORDS_OF_DOCUMENTS[1] * 20, p=shares)]
            is_new = random.random(len(drawn)) < NEW_WORDS
            drawn[is_new] = [f"n{value:x}" for value in random.integers(2**40, size=is_new.sum())]
            for text in _documents(drawn.tolist(), random):
                file.write(json.dumps({"text": text}) + "\n")


def _documents(words: Sequence[str], random: np.random.Generator) -> Iterator[str]:
    """Divide words into documents of sentences."""
    start = 0
    while start < len(words):
        own = words[start : start + int(random.integers(*WORDS_OF_DOCUMENTS))]
        sentences = (own[first : first + WORDS_OF_SENTENCES] for first in range(0, len(own), WORDS_OF_SENTENCES))
        yield "\n".join(" ".join(sentence).capitalize() + "." for sentence in sentences)
        start += len(own)


@contextmanager
def _timed(name: str, seconds: dict[str, float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start
