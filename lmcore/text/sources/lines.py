"""Text files whose lines are documents: alone, or two files side by side."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest

from lmcore.text.config import Lines, ParallelText
from lmcore.text.documents import Document, Fault, Reading
from lmcore.text.sources.opening import DAMAGED, check_is_file, open_text


@dataclass(frozen=True, slots=True)
class LinePiece:
    """One file of lines, or two: the piece of work of :class:`Lines` and :class:`ParallelText`."""

    config: Lines | ParallelText

    @property
    def size(self) -> int:
        """One file."""
        return 1

    def read(self) -> Reading:
        """One document per line, in their order; lines without anything are passed over.

        Raises:
            ValueError: if of two files one has more lines: then nobody knows which belong together.
        """
        reading, line = Reading(), 0
        try:
            for line, (text, target) in enumerate(self._lines(), start=1):
                if text.strip() or (target or "").strip():
                    reading.add(self._document(line, text, target))
        except DAMAGED as error:
            reading.faults.append(
                Fault(self.config.name, self.config.path.name, line + 1, "damaged_file", str(error) or "cut off")
            )
        return reading

    def _lines(self) -> Iterator[tuple[str, str | None]]:
        config = self.config
        with ExitStack() as files:
            texts = files.enter_context(open_text(config.path))
            if isinstance(config, Lines):
                yield from ((text.rstrip("\r\n"), None) for text in texts)
                return
            targets = files.enter_context(open_text(config.target_path))
            for line, (text, target) in enumerate(zip_longest(texts, targets), start=1):
                if text is None or target is None:
                    shorter = config.path if text is None else config.target_path
                    raise ValueError(
                        f"source {config.name!r}: {shorter} has {line - 1} lines and the file beside it has more: "
                        "line by line they belong together, so both need the same number"
                    )
                yield text.rstrip("\r\n"), target.rstrip("\r\n")

    def _document(self, line: int, text: str, target: str | None) -> Document:
        return Document(
            text=text,
            label=None,
            source=self.config.name,
            package=None,
            path=self.config.path.name,
            name=None,
            kind="line",
            line=line,
            version=None,
            license=None,
            target=target,
            split=self.config.split,
        )


def plan_lines(config: Lines | ParallelText) -> list[LinePiece]:
    """The file or the pair of files as one piece of work.

    Raises:
        ValueError: if a file is not there.
    """
    check_is_file(config.name, config.path)
    if isinstance(config, ParallelText):
        check_is_file(config.name, config.target_path)
    return [LinePiece(config)]
