"""A folder of text files: one document per file."""

from dataclasses import dataclass
from pathlib import Path

from lmcore.text.config import TextFolder
from lmcore.text.documents import Document, Fault, Reading

FILES_PER_PIECE = 100


@dataclass(frozen=True, slots=True)
class FilePiece:
    """Some files of one folder: a piece of work of :class:`TextFolder`."""

    config: TextFolder
    paths: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of files."""
        return len(self.paths)

    def read(self) -> Reading:
        """One document per file, UTF-8 with or without a mark of it, in the order of the paths."""
        reading = Reading()
        for path in self.paths:
            try:
                text = (self.config.path / path).read_text(encoding="utf-8-sig")
            except OSError as error:
                detail = error.strerror or type(error).__name__
                reading.faults.append(Fault(self.config.name, path, None, "unreadable_file", detail))
            except UnicodeDecodeError as error:
                detail = f"byte {error.start} is not UTF-8: {error.reason}"
                reading.faults.append(Fault(self.config.name, path, None, "not_unicode", detail))
            else:
                reading.add(self._document(path, text))
        return reading

    def _document(self, path: str, text: str) -> Document:
        folder, separator, _ = path.partition("/")
        return Document(
            text=text,
            label=folder if separator else None,
            source=self.config.name,
            package=None,
            path=path,
            name=Path(path).stem,
            kind="file",
            line=None,
            version=None,
            license=None,
            split=self.config.split,
        )


def plan_files(config: TextFolder) -> list[FilePiece]:
    """Divide the files of a folder into pieces of work, sorted by path.

    Raises:
        ValueError: if the folder is not there or no file in it matches the pattern.
    """
    if not config.path.is_dir():
        raise ValueError(f"source {config.name!r}: there is no folder {config.path}")
    files = (file for file in config.path.glob(config.pattern) if file.is_file())
    paths = tuple(sorted(file.relative_to(config.path).as_posix() for file in files))
    if not paths:
        raise ValueError(f"source {config.name!r}: no file in {config.path} matches {config.pattern!r}")
    return [
        FilePiece(config, paths[start : start + FILES_PER_PIECE]) for start in range(0, len(paths), FILES_PER_PIECE)
    ]
