"""Compares cleaning with datatrove's own filters on the same documents."""

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq

from benchmarks.line import Line, median_ratio, seconds_in_turn
from benchmarks.worker import Action
from lmcore.text.cleaning.decision import DocumentFilter
from lmcore.text.documents.shards import read_documents, write_table
from tasks.context.parameters import load_parameters

PARAMETERS = Path(__file__).parents[1] / "params.yaml"
# Every round processes one in this many documents: datatrove needs two seconds per megabyte.
FILTERED_STEP, FILTERING_ROUNDS = 20, 3
FASTER_THAN_DATATROVE = 6.0


def compare_with_datatrove(raw: Path, folder: Path, *, whole_rate: float) -> Line:
    """Compare the filters for single documents with the corresponding steps of datatrove, in one process each.

    Args:
        raw: folder of raw documents.
        folder: where the documents of each round are written.
        whole_rate: speed of the whole cleaning stage, in megabytes per second.
    """
    name = "normalizing, filtering and masking by the default rules, against datatrove's FTFY, Gopher, C4 and PII steps"
    if find_spec("datatrove") is None:
        reason = "datatrove is not installed (pip install -c constraints.txt datatrove)"
        return Line(name, None, None, "MB/s", None, FASTER_THAN_DATATROVE, "higher", reason)
    documents = read_documents(raw, ["text"])
    # Every round processes other documents.
    parts = [documents[first::FILTERED_STEP] for first in range(FILTERING_ROUNDS + 1)]
    files = [folder / f"part-{number}.parquet" for number in range(len(parts))]
    for file, part in zip(files, parts, strict=True):
        write_table(file, part)
    n_megabytes = median(sum(len(text.encode()) for text in part["text"].to_pylist()) for part in parts) / 1e6
    ours, theirs = seconds_in_turn(
        partial(_with_our_filters, files), partial(_with_datatrove, files), n_rounds=FILTERING_ROUNDS
    )
    return Line(
        name,
        n_megabytes / median(ours),
        n_megabytes / median(theirs),
        "MB/s",
        median_ratio(theirs, ours),
        FASTER_THAN_DATATROVE,
        "higher",
        f"{n_megabytes:.1f} MB per round, one process each; the whole stage on 2 cores: {whole_rate:.2f} MB/s",
    )


def _texts(file: Path) -> list[str]:
    texts: list[str] = pq.read_table(file)["text"].to_pylist()
    return texts


def _with_our_filters(files: Sequence[Path]) -> Action:
    parts = map(_texts, files)
    document_filter = DocumentFilter(load_parameters(PARAMETERS).clean, None)
    return lambda: [document_filter.decide(text).drop for text in next(parts)]


def _with_datatrove(files: Sequence[Path]) -> Action:
    from datatrove.data import Document
    from datatrove.pipeline.filters import C4QualityFilter, GopherQualityFilter, GopherRepetitionFilter
    from datatrove.pipeline.formatters import FTFYFormatter, PIIFormatter

    repair, mask = FTFYFormatter(), PIIFormatter()
    filters = [GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter()]
    parts = map(_texts, files)

    def passes(document: Document) -> bool:
        """Whether all filters keep a document; as in a pipeline, filters stop after the first that drops it."""
        answers = (step.filter(document) for step in filters)
        return all(answer if isinstance(answer, bool) else answer[0] for answer in answers)

    def act() -> None:
        for text in next(parts):
            document = Document(text=repair.format(text), id="")
            if passes(document):
                mask.format(document.text)

    return act
