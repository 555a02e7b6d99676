"""Masks personal data outside the clean text: in labels, paths and names, and in the ledger."""

from collections.abc import Callable, Sequence
from functools import cache, partial

import pyarrow as pa
import pyarrow.compute as pc

from lmcore.config.clean import CleanConfig
from lmcore.text.cleaning.decision import configured_person_finder
from lmcore.text.cleaning.personal_data import MASKED, PersonalData
from lmcore.text.documents.messages import with_contents

Mask = Callable[[str], str]

DESCRIPTIVE = ("label", "labels", "path", "name")
CONTENT = ("text", "target", "rejected", "messages")


def configured_mask(config: CleanConfig) -> Mask | None:
    """A function that masks the configured kinds of personal data; ``None`` if there are none."""
    if config.personal_data is None:
        return None
    return PersonalData(config.personal_data, configured_person_finder(config)).masked


def path_mask(mask: Mask) -> Mask:
    """A function that masks a path as a whole and then each of its parts.

    A number after a slash is taken for part of a URL, so only the separate part is recognized as a telephone number.
    """
    # Many paths share their folders.
    mask_part = cache(mask)

    def mask_path(path: str) -> str:
        masked = mask(path)
        return "/".join(map(mask_part, masked.split("/"))) if "/" in masked else masked

    return mask_path


def mask_columns(table: pa.Table, names: Sequence[str], mask: Mask | None) -> pa.Table:
    """The table with personal data masked in the named columns.

    All columns but texts and answers may hold paths, and are masked as such. Of messages, the contents are masked.
    """
    if mask is None or not len(table):
        return table
    mask_path = path_mask(mask)
    for name in names:
        field = table.schema.field(name)
        mask_value = mask if name in CONTENT else mask_path
        if name == "messages":
            mask_value = partial(with_contents, change=mask)
        if pa.types.is_list(field.type):
            rows = table[name].to_pylist()
            masked = pa.array([None if row is None else list(map(mask_value, row)) for row in rows], field.type)
        else:
            column = table[name].combine_chunks().dictionary_encode()
            values = pa.array(list(map(mask_value, column.dictionary.to_pylist())), pa.string())
            masked = values.take(column.indices)
        table = table.set_column(table.column_names.index(name), field, masked)
    return table


def mask_rows(raw: pa.Table, drops: pa.Table, changes: pa.Table, mask: Mask | None) -> pa.Table:
    """Raw documents as the ledger shows them: unchanged except for personal data, which is masked.

    Texts and answers are masked only in documents in which personal data was found, or that were dropped before it was
    searched for.

    Args:
        raw: the documents of a shard.
        drops: the documents that the first pass dropped.
        changes: what the first pass changed.
        mask: masks a text.
    """
    if mask is None:
        return raw
    masked_rows = changes.filter(pc.starts_with(changes["rule"], MASKED))["row"]
    rows = pa.array(sorted({*drops["row"].to_pylist(), *masked_rows.to_pylist()}), pa.int64())
    masked = mask_columns(raw.take(rows), CONTENT, mask)
    indices = {row: index for index, row in enumerate(rows.to_pylist())}
    order = pa.array([len(raw) + indices[row] if row in indices else row for row in range(len(raw))], pa.int64())
    return mask_columns(pa.concat_tables([raw, masked]).take(order), DESCRIPTIVE, mask)
