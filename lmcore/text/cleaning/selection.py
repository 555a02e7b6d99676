"""Which documents are taken when not all are wanted: decisions that look at several documents."""

from collections import Counter
from collections.abc import Mapping, Sequence

from lmcore.text.cleaning.filters import Drop
from lmcore.text.split import uniform


def exact_duplicates(ids: Mapping[int, str]) -> dict[int, Drop]:
    """Drop the rows whose text an earlier row has.

    Args:
        ids: of the documents, by row, in the order of the rows.

    Returns:
        A drop per duplicate row, whose detail names the document that stays.
    """
    seen: set[str] = set()
    drops = {}
    for row, identity in ids.items():
        if identity in seen:
            drops[row] = Drop("exact_duplicate", detail=f"the text of {identity}")
        seen.add(identity)
    return drops


def beyond_label_budget(
    ids: Mapping[int, str], labels: Sequence[str | None], texts: Mapping[int, str], budget: int | None
) -> dict[int, Drop]:
    """Drop what exceeds a label's share of the corpus; documents without a label are one more label.

    A label's documents are taken in the order of a hash of their id until their sum exceeds the budget: a choice by
    content, the same wherever the documents stand.

    Args:
        ids: of the documents, by row.
        labels: of every row.
        texts: by row.
        budget: bytes of UTF-8 for one label; ``None`` is without limit.

    Returns:
        A drop per row, whose score is what the label would hold with it in bytes.
    """
    if budget is None:
        return {}
    n_bytes: Counter[str | None] = Counter()
    drops = {}
    for row in sorted(ids, key=lambda row: uniform(ids[row], b"balance")):
        n_bytes[labels[row]] += len(texts[row].encode())
        if n_bytes[labels[row]] > budget:
            drops[row] = Drop("beyond_label_budget", n_bytes[labels[row]], budget)
    return drops
