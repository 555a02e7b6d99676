"""Assigns documents to training, validation and test by a hash of their text, independently of all others."""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import get_args

import pyarrow as pa

from lmcore.config.base import Split
from lmcore.config.tokenize import SplitFractions

SPLITS: tuple[Split, ...] = get_args(Split)


def document_id(text: str) -> str:
    """The id of a text: 128 bits of BLAKE2b over its UTF-8, as 32 hexadecimal digits."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


def uniform(identity: str, purpose: bytes) -> float:
    """A number in [0, 1) derived from an id; independent for each purpose (at most 16 bytes)."""
    digest = blake2b(identity.encode(), digest_size=8, person=purpose).digest()
    return int.from_bytes(digest, "big") / 2**64


def split_of(identity: str, fractions: SplitFractions) -> Split:
    """The split of a document: a function of its id alone, unaffected by documents that are added or removed."""
    position = uniform(identity, b"split")
    if position < fractions.test:
        return "test"
    return "validation" if position < fractions.test + fractions.validation else "train"


def splits_of(documents: pa.Table, fractions: SplitFractions) -> Iterator[Split]:
    """Yield the split of each document: as assigned by its source (column ``split``), or else by its column ``id``."""
    rows = zip(documents["id"].to_pylist(), documents["split"].to_pylist(), strict=True)
    return (given or split_of(identity, fractions) for identity, given in rows)


def group_by_split(documents: pa.Table, fractions: SplitFractions) -> Mapping[str, pa.Table]:
    """The documents of each split, in their order."""
    rows: dict[Split, list[int]] = {split: [] for split in SPLITS}
    for row, split in enumerate(splits_of(documents, fractions)):
        rows[split].append(row)
    return {split: documents.take(pa.array(chosen, pa.int64())) for split, chosen in rows.items()}
