"""Which documents are held out: decided for each by its own content, for ever."""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import get_args

import pyarrow as pa

from lmcore.config.base import Split
from lmcore.config.tokenize import SplitFractions

SPLITS: tuple[Split, ...] = get_args(Split)


def document_id(text: str) -> str:
    """The identity of a text: 128 bits of BLAKE2b over its UTF-8, as 32 hexadecimal digits."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


def uniform(identity: str, purpose: bytes) -> float:
    """A number in [0, 1) that an id has for a purpose (16 bytes at most); purposes are independent."""
    digest = blake2b(identity.encode(), digest_size=8, person=purpose).digest()
    return int.from_bytes(digest, "big") / 2**64


def split_of(identity: str, fractions: SplitFractions) -> Split:
    """The split of a document: a function of its id alone, so it stays where it is when others come or go."""
    position = uniform(identity, b"split")
    if position < fractions.test:
        return "test"
    return "validation" if position < fractions.test + fractions.validation else "train"


def splits_of(documents: pa.Table, fractions: SplitFractions) -> Iterator[Split]:
    """The split of each document: as its source says (column ``split``), or else by its column ``id``."""
    rows = zip(documents["id"].to_pylist(), documents["split"].to_pylist(), strict=True)
    return (given or split_of(identity, fractions) for identity, given in rows)


def group_by_split(documents: pa.Table, fractions: SplitFractions) -> Mapping[str, pa.Table]:
    """The documents of each split, in the order in which they stand."""
    rows: dict[Split, list[int]] = {split: [] for split in SPLITS}
    for row, split in enumerate(splits_of(documents, fractions)):
        rows[split].append(row)
    return {split: documents.take(pa.array(chosen, pa.int64())) for split, chosen in rows.items()}
