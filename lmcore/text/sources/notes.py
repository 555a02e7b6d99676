"""What was decided in reading files that their settings leave open, so that it can be said and kept."""

from collections.abc import Iterable, Mapping
from typing import Any


class Notes:
    """How many files something was decided of, and how surely."""

    def __init__(self) -> None:
        self._confidences: dict[str, dict[str, float | None]] = {}

    def add(self, path: str, what: str, confidence: float | None = None) -> None:
        """Note something of a file, once however often it is opened."""
        self._confidences.setdefault(what, {})[path] = confidence

    def summary(self) -> dict[str, dict[str, Any]]:
        """By what was decided the number of ``files`` and the least ``confidence``, if one is known."""
        return {
            what: {"files": len(by_path), "confidence": _least(by_path.values())}
            for what, by_path in sorted(self._confidences.items())
        }


def merge_notes(summaries: Iterable[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """One summary of several."""
    merged: dict[str, dict[str, Any]] = {}
    for summary in summaries:
        for what, note in summary.items():
            known = merged.setdefault(what, {"files": 0, "confidence": None})
            known["files"] += note["files"]
            known["confidence"] = _least((known["confidence"], note["confidence"]))
    return dict(sorted(merged.items()))


def describe_notes(summary: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each: ``3 files read as windows-1252 (detected, 0.93)``."""
    lines = []
    for what, note in summary.items():
        files = "1 file" if note["files"] == 1 else f"{note['files']:,} files"
        confidence = "" if note["confidence"] is None else f" (detected, {note['confidence']:.2f})"
        lines.append(f"{files} {what}{confidence}")
    return lines


def _least(confidences: Iterable[float | None]) -> float | None:
    return min((confidence for confidence in confidences if confidence is not None), default=None)
