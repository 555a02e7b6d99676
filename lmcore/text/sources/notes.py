"""What was detected while reading files, such as an encoding, for the log and the summary."""

from collections.abc import Iterable, Mapping
from typing import Any


class Notes:
    """Counts the files that each note applies to, with the lowest confidence."""

    def __init__(self) -> None:
        self._confidences: dict[str, dict[str, float | None]] = {}
        self._warnings: set[str] = set()

    def add(self, path: str, what: str, confidence: float | None = None, *, is_warning: bool = False) -> None:
        """Add a note about a file; adding it again changes nothing. A warning is a note about a probable mistake."""
        self._confidences.setdefault(what, {})[path] = confidence
        if is_warning:
            self._warnings.add(what)

    def summary(self) -> dict[str, dict[str, Any]]:
        """For each note, the number of ``files``, the lowest ``confidence`` (None if unknown), and ``is_warning``."""
        return {
            what: {
                "files": len(by_path),
                "confidence": _lowest(by_path.values()),
                "is_warning": what in self._warnings,
            }
            for what, by_path in sorted(self._confidences.items())
        }


def merge_notes(summaries: Iterable[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Merge several summaries into one."""
    merged: dict[str, dict[str, Any]] = {}
    for summary in summaries:
        for what, note in summary.items():
            known = merged.setdefault(what, {"files": 0, "confidence": None, "is_warning": note["is_warning"]})
            known["files"] += note["files"]
            known["confidence"] = _lowest((known["confidence"], note["confidence"]))
    return dict(sorted(merged.items()))


def describe_note(what: str, note: Mapping[str, Any]) -> str:
    """A log line: ``3 files read as windows-1252 (detected, 0.93)``."""
    files = "1 file" if note["files"] == 1 else f"{note['files']:,} files"
    confidence = "" if note["confidence"] is None else f" (detected, {note['confidence']:.2f})"
    return f"{files} {what}{confidence}"


def _lowest(confidences: Iterable[float | None]) -> float | None:
    return min((confidence for confidence in confidences if confidence is not None), default=None)
