"""From raw to clean documents, shard by shard, with a ledger of everything that was dropped or changed.

Three passes. Each document is judged alone (:mod:`lmcore.text.cleaning.filtered_shards`); then all of them are
compared, by what little is kept of each (:mod:`lmcore.text.cleaning.selection`); then those that stay are analyzed
and written, with what the ledger says of the others (:mod:`lmcore.text.cleaning.clean_shards`). The first and the
last pass go shard by shard, and what is done is done once.
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
from lmcore.runtime.artifact_cache import keep_pieces, pieces_in
from lmcore.runtime.files import atomic_folder, write_json, write_text
from lmcore.runtime.workers import Workers
from lmcore.text.cleaning.clean_shards import STATISTICS, Finishing, finish_shard, prepare_finishing
from lmcore.text.cleaning.filtered_shards import filter_shard
from lmcore.text.cleaning.masked_columns import configured_mask, mask_columns
from lmcore.text.cleaning.reasons import SETTINGS
from lmcore.text.cleaning.selection import select
from lmcore.text.cleaning.statistics import merge_statistics
from lmcore.text.describing.card import data_card, to_markdown
from lmcore.text.describing.excerpts import masking
from lmcore.text.describing.losses import losses_of
from lmcore.text.documents.document import LEDGER_SCHEMA
from lmcore.text.documents.shards import FAULTS, LEDGER, SUMMARY, concatenate, link_shards, shards_of

Item = TypeVar("Item")
Result = TypeVar("Result")

PAGE, CARD, CARD_DATA = "statistics.html", "card.md", "card.json"
"""What is written beside the documents for people to read."""
COUNTS = ("documents", "bytes", "words")


def clean(
    raw: Path, target: Path, config: CleanConfig, fractions: SplitFractions, *, work: Path, workers: Workers
) -> dict[str, Any]:
    """Normalize, filter, mask, compare and analyze the documents of the folder ``raw``.

    Args:
        raw: what :func:`lmcore.text.sources.collect.collect` wrote.
        target: replaced as a whole by document shards, the ledger and a summary.
        config: language and thresholds.
        fractions: which documents are for evaluation: training documents that repeat them are dropped.
        work: where pieces that are done are kept for the next time.
        workers: processes; the result does not depend on them.

    Returns:
        The summary: ``input`` (all documents that were collected), ``kept``, ``dropped`` and their reasons, what was
        ``unreadable`` beside them, what was kept by label, and ``losses``
        (:func:`lmcore.text.describing.losses.losses_of`).

    Raises:
        ValueError: if no document is left, or spaCy does not know the language.
    """
    shards = shards_of(raw)
    pipeline = _check_languages(config)
    judge = partial(filter_shard, config=config, fractions=fractions, pipeline=pipeline, work=work)
    already_judged = set(pieces_in(work))
    judged = list(_each("Judge", judge, shards, workers))
    if any(shard.folder.name not in already_judged for shard in judged):
        workers.prepare(prepare_finishing, config.language)
    drops = select(judged, config)
    finishings = [Finishing(*decided, config) for decided in zip(shards, judged, drops, strict=True)]
    done = list(_each("Tokens and sentences", partial(finish_shard, work=work), finishings, workers))
    faults = pq.read_table(raw / FAULTS)
    summary = _merge([json.loads((folder / SUMMARY).read_bytes()) for folder in done], faults)
    if summary["kept"] == 0:
        reasons = summary["dropped_by_reason"] or summary["unreadable_by_reason"]
        raise UserError(
            f"no document of {summary['input']} is left: {reasons}; relax the rules, such as "
            f"clean.{SETTINGS.get(max(reasons, key=lambda rule: reasons[rule]), 'filters')}"
        )
    with atomic_folder(target) as folder:
        link_shards(done, folder)
        ledgers = (pq.read_table(part / LEDGER) for part in done)
        unreadable = mask_columns(_unreadable(faults), ("path", "detail"), configured_mask(config))
        concatenate(chain([unreadable], ledgers), folder / LEDGER, LEDGER_SCHEMA)
        collected = json.loads((raw / SUMMARY).read_bytes())
        mask = masking(config.personal_data)
        summary["losses"] = losses_of(folder / LEDGER, collected["sources"], mask)
        write_json(folder / SUMMARY, summary)
        statistics = merge_statistics([json.loads((part / STATISTICS).read_bytes()) for part in done])
        _describe(folder, statistics, summary, collected, mask)
    keep_pieces(work, {shard.folder.name for shard in judged} | {folder.name for folder in done})
    return summary


def _check_languages(config: CleanConfig) -> str | None:
    """What stands for the trained pipeline's content, if there is one; a language without rules is refused at once."""
    # spaCy itself takes two seconds to import, as long as a run that finds everything done.
    spacy = importlib.util.find_spec("spacy")
    assert spacy is not None
    assert spacy.origin is not None
    languages = Path(spacy.origin).parent / "lang"
    for language in (config.language, *(config.identify_language.kept if config.identify_language else ())):
        if not (languages / language).is_dir():
            known = ", ".join(
                sorted(folder.name for folder in languages.iterdir() if (folder / "lex_attrs.py").exists())
            )
            raise UserError(f"spaCy has no rules for the language {language!r} (clean.language); it has {known}")
    if config.pipeline is None:
        return None
    from lmcore.text.linguistics.pipelines import load_trained, pipeline_identity

    load_trained(config.pipeline, config.annotations)
    return pipeline_identity(config.pipeline)


def _describe(
    folder: Path,
    statistics: Mapping[str, Any],
    summary: Mapping[str, Any],
    collected: Mapping[str, Any],
    mask: Callable[[str], str],
) -> None:
    """Write the statistics, the page that shows them, and the data card."""
    # matplotlib takes a second to import.
    from lmcore.text.describing.page import render_page

    card = data_card(collected, summary, statistics, folder / LEDGER)
    write_json(folder / STATISTICS, statistics)
    write_json(folder / CARD_DATA, card)
    write_text(folder / CARD, to_markdown(card))
    write_text(folder / PAGE, render_page(statistics, summary, folder / LEDGER, mask))


def _each(
    description: str, function: Callable[[Item], Result], items: Sequence[Item], workers: Workers
) -> Iterator[Result]:
    with progress(description, len(items), "shards") as work:
        for result in workers.map(function, items):
            yield result
            work.advance()


def _unreadable(faults: pa.Table) -> pa.Table:
    """What could not be read, as the first rows of the ledger."""
    columns: dict[str, Any] = {name: pa.nulls(len(faults)) for name in LEDGER_SCHEMA.names}
    columns |= {name: faults[name] for name in ("source", "path", "line", "detail")}
    columns |= {"action": pa.array(["unreadable"] * len(faults), pa.string()), "rule": faults["reason"]}
    arrays = [columns[field.name].cast(field.type) for field in LEDGER_SCHEMA]
    return pa.table(arrays, schema=LEDGER_SCHEMA)


def _merge(shards: Sequence[Mapping[str, Any]], faults: pa.Table) -> dict[str, Any]:
    unreadable = Counter(faults["reason"].to_pylist())
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
