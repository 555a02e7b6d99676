"""Cleans raw documents: writes shards of clean documents and a ledger of everything that was dropped or changed.

Cleaning takes three passes. The first filters each document separately (:mod:`lmcore.text.cleaning.filtered_shards`),
the second compares all documents (:mod:`lmcore.text.cleaning.selection`), and the third analyzes and writes those that
are kept (:mod:`lmcore.text.cleaning.clean_shards`). The first and the third run shard by shard, and their results are
cached.
"""

import importlib.util
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.config.clean import CleanConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.errors import UserError
from lmcore.progress import progress
from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.files import atomic_folder, write_json, write_text
from lmcore.runtime.workers import Workers
from lmcore.text.cleaning.clean_shards import STATISTICS, DecidedShard, preload_tokenizer, write_clean_shard
from lmcore.text.cleaning.filtered_shards import filter_shard
from lmcore.text.cleaning.masked_columns import configured_mask, mask_columns
from lmcore.text.cleaning.reasons import RULES
from lmcore.text.cleaning.selection import select_drops
from lmcore.text.cleaning.statistics import merge_statistics
from lmcore.text.describing.card import data_card, to_markdown
from lmcore.text.describing.drop_statistics import drop_statistics
from lmcore.text.describing.excerpts import excerpt_mask
from lmcore.text.documents.document import LEDGER_SCHEMA
from lmcore.text.documents.shards import LEDGER, READ_ERRORS, SUMMARY, concatenate, link_shards, shards_of

Item = TypeVar("Item")
Result = TypeVar("Result")

PAGE, CARD, CARD_DATA = "statistics.html", "card.md", "card.json"
"""Files for human readers, written next to the documents."""
COUNTS = ("documents", "bytes", "words")


def clean(
    raw: Path, target: Path, config: CleanConfig, fractions: SplitFractions, *, cache: ArtifactCache, workers: Workers
) -> dict[str, Any]:
    """Normalize, filter, mask, deduplicate and analyze the documents of the folder ``raw``.

    Args:
        raw: the folder that :func:`lmcore.text.sources.collect.collect` wrote.
        target: the folder to write; it is replaced as a whole by document shards, the ledger, a summary, the corpus
            page and the data card.
        config: the cleaning rules.
        fractions: fractions of the documents that are held out; training documents that repeat them are dropped.
        cache: keeps the results of each shard for later runs.
        workers: processes that compute; the result does not depend on their number.

    Returns:
        The summary: ``input`` (all collected documents), ``kept``, ``dropped`` and its reasons, ``unreadable`` input
        (not part of ``input``) and its reasons, sizes by label, and ``drop_statistics``
        (:func:`lmcore.text.describing.drop_statistics.drop_statistics`).

    Raises:
        UserError: if no document is left, or spaCy does not support a language.
    """
    shards = shards_of(raw)
    pipeline = _check_languages(config)
    filter_one = partial(filter_shard, config=config, fractions=fractions, pipeline=pipeline, cache=cache)
    cached = set(cache.names())
    filtered = list(_map_shards("Filter documents", filter_one, shards, workers))
    if any(shard.folder.name not in cached for shard in filtered):
        workers.prepare(preload_tokenizer, config.language)
    drops = select_drops(filtered, config)
    decided = [DecidedShard(*parts, config) for parts in zip(shards, filtered, drops, strict=True)]
    done = list(_map_shards("Analyze documents", partial(write_clean_shard, cache=cache), decided, workers))
    read_errors = pq.read_table(raw / READ_ERRORS)
    summary = _merge_summaries([json.loads((folder / SUMMARY).read_bytes()) for folder in done], read_errors)
    if summary["kept"] == 0:
        raise UserError(_nothing_left(summary))
    with atomic_folder(target) as folder:
        link_shards(done, folder)
        ledgers = (pq.read_table(part / LEDGER) for part in done)
        unreadable = mask_columns(_ledger_of_read_errors(read_errors), ("path", "detail"), configured_mask(config))
        concatenate(chain([unreadable], ledgers), folder / LEDGER, LEDGER_SCHEMA)
        collected = json.loads((raw / SUMMARY).read_bytes())
        mask = excerpt_mask(config.personal_data)
        summary["drop_statistics"] = drop_statistics(folder / LEDGER, collected["sources"], mask)
        write_json(folder / SUMMARY, summary)
        statistics = merge_statistics([json.loads((part / STATISTICS).read_bytes()) for part in done])
        _describe(folder, statistics, summary, collected, mask)
    cache.prune({shard.folder.name for shard in filtered} | {folder.name for folder in done})
    return summary


def _check_languages(config: CleanConfig) -> str | None:
    """Check that spaCy supports the configured languages; returns the identity of the trained pipeline, if any."""
    # Importing spaCy takes two seconds, as long as a run that finds all results in the cache: only look for its files.
    spacy = importlib.util.find_spec("spacy")
    assert spacy is not None
    assert spacy.origin is not None
    languages = Path(spacy.origin).parent / "lang"
    for language in (config.language, *(config.identify_language.kept if config.identify_language else ())):
        if not (languages / language).is_dir():
            known = ", ".join(
                sorted(folder.name for folder in languages.iterdir() if (folder / "lex_attrs.py").exists())
            )
            raise UserError(f"spaCy does not support the language {language!r}; choose one of: {known}")
    if config.pipeline is None:
        return None
    from lmcore.text.linguistics.pipelines import load_trained, pipeline_identity

    load_trained(config.pipeline, config.annotations)
    return pipeline_identity(config.pipeline)


def _nothing_left(summary: Mapping[str, Any]) -> str:
    """The message for a corpus without any document left."""
    if not summary["input"]:
        return f"no document could be read ({_listed(summary['unreadable_by_reason'])}): correct the sources"
    reasons = summary["dropped_by_reason"]
    rule = max(reasons, key=lambda reason: reasons[reason])
    setting = RULES[rule].setting
    remedy = "correct the sources" if setting is None else f"relax the setting {setting}"
    return f"all {summary['input']} documents were dropped ({_listed(reasons)}): {remedy}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _describe(
    folder: Path,
    statistics: Mapping[str, Any],
    summary: Mapping[str, Any],
    collected: Mapping[str, Any],
    mask: Callable[[str], str],
) -> None:
    """Write the statistics, the corpus page and the data card."""
    # matplotlib takes a second to import.
    from lmcore.text.describing.page import render_page

    card = data_card(collected, summary, statistics, folder / LEDGER)
    write_json(folder / STATISTICS, statistics)
    write_json(folder / CARD_DATA, card)
    write_text(folder / CARD, to_markdown(card))
    write_text(folder / PAGE, render_page(statistics, summary, folder / LEDGER, mask))


def _map_shards(
    description: str, function: Callable[[Item], Result], shards: Sequence[Item], workers: Workers
) -> Iterator[Result]:
    with progress(description, len(shards), "shards") as bar:
        for result in workers.map(function, shards):
            yield result
            bar.advance()


def _ledger_of_read_errors(read_errors: pa.Table) -> pa.Table:
    """The read errors as rows of the ledger."""
    columns: dict[str, Any] = {name: pa.nulls(len(read_errors)) for name in LEDGER_SCHEMA.names}
    columns |= {name: read_errors[name] for name in ("source", "path", "line", "detail")}
    columns |= {"action": pa.array(["unreadable"] * len(read_errors), pa.string()), "rule": read_errors["reason"]}
    arrays = [columns[field.name].cast(field.type) for field in LEDGER_SCHEMA]
    return pa.table(arrays, schema=LEDGER_SCHEMA)


def _merge_summaries(shards: Sequence[Mapping[str, Any]], read_errors: pa.Table) -> dict[str, Any]:
    unreadable = Counter(read_errors["reason"].to_pylist())
    dropped, changed = Counter[str](), Counter[str]()
    labels: dict[str | None, Counter[str]] = {}
    for shard in shards:
        dropped.update(shard["dropped_by_reason"])
        changed.update(shard["changed_by_reason"])
        for label in shard["labels"]:
            labels.setdefault(label["label"], Counter()).update({name: label[name] for name in COUNTS})
    total = sum(labels.values(), Counter())
    return {
        "input": total["documents"] + dropped.total(),
        "kept": total["documents"],
        "dropped": dropped.total(),
        "dropped_by_reason": dict(sorted(dropped.items())),
        "changed_by_reason": dict(sorted(changed.items())),
        "unreadable": unreadable.total(),
        "unreadable_by_reason": dict(sorted(unreadable.items())),
        "bytes": total["bytes"],
        "words": total["words"],
        "labels": [{"label": label, **labels[label]} for label in sorted(labels, key=lambda label: label or "")],
    }
