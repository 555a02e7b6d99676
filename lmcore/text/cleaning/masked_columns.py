"""Masks personal data outside the text: in a document's label, path and name, and in its row of the ledger."""

from collections.abc import Callable, Sequence
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from lmcore.config.clean import CleanConfig
from lmcore.text.cleaning.filtered_shards import configured_person_finder
from lmcore.text.cleaning.personal_data import MASKED, PersonalData

Mask = Callable[[str], str]

DESCRIPTIVE = ("label", "path", "name")
CONTENT = ("text", "target")


def configured_mask(config: CleanConfig) -> Mask | None:
    """A function that masks in a text what ``config`` names; None where nothing is to be masked."""
    if config.personal_data is None:
        return None
    return PersonalData(config.personal_data, configured_person_finder(config)).masked


def masking_parts(mask: Mask) -> Mask:
    """A function that masks what may be a path: the whole, and then each part between slashes.

    Behind a slash a number is taken for a part of an address, and not for one that somebody is called by.
    """
    # Paths have folders in common.
    mask_part = cache(mask)

    def mask_parts(path: str) -> str:
        masked = mask(path)
        return "/".join(map(mask_part, masked.split("/"))) if "/" in masked else masked

    return mask_parts


def mask_columns(table: pa.Table, names: Sequence[str], mask: Mask | None) -> pa.Table:
    """The table with personal data masked in the columns of these names.

    All but the content may hold paths, and are masked part by part.
    """
    if mask is None or not len(table):
        return table
    mask_place = masking_parts(mask)
    for name in names:
        column = table[name].combine_chunks().dictionary_encode()
        mask_value = mask if name in CONTENT else mask_place
        values = pa.array(list(map(mask_value, column.dictionary.to_pylist())), pa.string())
        index = table.column_names.index(name)
        table = table.set_column(index, table.schema.field(name), values.take(column.indices))
    return table


def mask_rows(raw: pa.Table, drops: pa.Table, changes: pa.Table, mask: Mask | None) -> pa.Table:
    """Raw documents as the ledger may show them: the text as it was, but for personal data.

    Only those are looked at that were dropped before anybody looked for personal data, or in which some was found.

    Args:
        raw: the documents of a shard.
        drops: the reasons of those that were judged and dropped.
        changes: the reasons of those that were changed.
        mask: what masks a text.
    """
    if mask is None:
        return raw
    held_some = changes.filter(pc.starts_with(changes["rule"], MASKED))["row"]
    rows = pa.array(sorted({*drops["row"].to_pylist(), *held_some.to_pylist()}), pa.int64())
    masked = mask_columns(raw.take(rows), CONTENT, mask)
    places = {row: place for place, row in enumerate(rows.to_pylist())}
    order = pa.array([len(raw) + places[row] if row in places else row for row in range(len(raw))], pa.int64())
    return mask_columns(pa.concat_tables([raw, masked]).take(order), DESCRIPTIVE, mask)
