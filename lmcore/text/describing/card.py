"""The data card: what a corpus consists of, what cleaning did to it, and how to reproduce it.

It follows Gebru et al. 2021, "Datasheets for Datasets" (https://arxiv.org/abs/1803.09010). The front matter for a
dataset page on the Hugging Face Hub comes last; at the start, a Markdown viewer would show it as a broken list.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmcore.text.describing.ledger import rules_of

MASKED, PERSONAL_DATA = "masked_", "personal_data"
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


def data_card(
    collected: Mapping[str, Any], cleaned: Mapping[str, Any], statistics: Mapping[str, Any], ledger: Path
) -> dict[str, Any]:
    """The contents of the data card, as JSON values.

    Args:
        collected: the summary of collection, with the origin of each source.
        cleaned: the summary of cleaning.
        statistics: the result of :func:`lmcore.text.cleaning.statistics.merge_statistics`.
        ledger: the ledger that cleaning wrote.
    """
    rules = rules_of(ledger)
    kept = {group["name"]: group for group in statistics["groups"]["source"]}
    sources = [
        {
            "name": name,
            **source["origin"],
            "licenses": _licenses(source),
            "collected": {"documents": source["documents"], "bytes": source["bytes"]},
            "kept": {key: kept.get(name, {}).get(key, 0) for key in ("documents", "bytes", "words")},
        }
        for name, source in collected["sources"].items()
    ]
    return {
        "documents": cleaned["kept"],
        "bytes": cleaned["bytes"],
        "words": cleaned["words"],
        "languages": [group["name"] for group in statistics["groups"]["language"]],
        "sources": sources,
        "splits": statistics["groups"]["split"],
        "input": cleaned["input"],
        "dropped": cleaned["dropped"],
        "decisions": rules,
        "personal_data": {
            "masked": {
                rule["rule"].removeprefix(MASKED): rule["count"] for rule in rules if rule["rule"].startswith(MASKED)
            },
            "documents_dropped": sum(rule["count"] for rule in rules if rule["rule"] == PERSONAL_DATA),
        },
    }


def to_markdown(card: Mapping[str, Any]) -> str:
    """The card as Markdown that is also readable as plain text."""
    return "\n".join(_lines(card)) + "\n"


def _lines(card: Mapping[str, Any]) -> Iterator[str]:
    yield from ("# Data card", "")
    yield (
        f"{card['documents']:,} of {card['input']:,} collected documents were kept: "
        f"{card['bytes'] / 1e6:,.1f} MB, {card['words']:,} words."
    )
    yield from ("", "## Sources", "")
    for source in card["sources"]:
        yield f"### {source['name']}"
        yield ""
        yield f"- attribution: {source['attribution'] or 'none given'}"
        yield f"- licenses: {', '.join(source['licenses']) or 'unknown'}"
        yield f"- content: {source['files']:,} files, {source['file_bytes']:,} bytes, SHA-256 {source['sha256']}"
        if source["revision"]:
            yield f"- revision: {source['revision']}"
        yield f"- weight: {source['weight']:g}"
        collected, kept = source["collected"], source["kept"]
        yield f"- collected: {collected['documents']:,} documents, {collected['bytes'] / 1e6:,.1f} MB"
        yield f"- kept: {kept['documents']:,} documents, {kept['bytes'] / 1e6:,.1f} MB"
        yield ""
    yield from ("## Splits", "")
    rows = [
        [row["name"], f"{row['documents']:,}", f"{row['bytes'] / 1e6:,.2f}", f"{row['words']:,}"]
        for row in card["splits"]
    ]
    yield from _table(["split", "documents", "MB", "words"], rows)
    yield from ("", "## Cleaning decisions", "")
    decisions = [
        [
            row["action"],
            row["rule"].replace("_", " "),
            f"{row['count']:,}",
            "" if row["threshold"] is None else f"{row['threshold']:g}",
        ]
        for row in card["decisions"]
    ]
    yield from _table(["action", "rule", "documents", "threshold"], decisions)
    yield from ("", "## Personal data", "")
    masked = card["personal_data"]["masked"]
    described = ", ".join(f"{kind} {count:,}" for kind, count in masked.items())
    dropped = card["personal_data"]["documents_dropped"]
    yield f"Documents with masked personal data: {described or 'none'}. Documents dropped for it: {dropped:,}."
    yield "Personal data is found by patterns and check digits; whatever they miss is still in the corpus."
    yield from (
        "",
        "## Reproduction",
        "",
        "Collect and clean again with the settings and the pinned sources of the same commit.",
        "",
        "## Hugging Face Hub",
        "",
        "Front matter for the README of a dataset repository:",
        "",
        "```yaml",
        "---",
        "license:",
        *(f"- {license_name}" for license_name in _all_licenses(card)),
        "language:",
        *(f"- {language}" for language in card["languages"]),
        "size_categories:",
        f"- {next((name for limit, name in SIZES if card['documents'] < limit), 'n>10M')}",
        "---",
        "```",
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(header, widths, strict=True)) + " |"
    yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    for row in rows:
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"


def _licenses(source: Mapping[str, Any]) -> list[str]:
    found = {source["origin"]["license"], *(label["license"] for label in source["labels"].values())}
    return sorted(license_name for license_name in found if license_name)


def _all_licenses(card: Mapping[str, Any]) -> list[str]:
    return sorted({name for source in card["sources"] for name in source["licenses"]}) or ["unknown"]
