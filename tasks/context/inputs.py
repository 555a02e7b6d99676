"""Checks of what earlier stages have written."""

from pathlib import Path

from lmcore.text.documents.shards import DOCUMENTS


def require_documents(folder: Path) -> None:
    """Check that the stage that writes the documents in ``folder`` has run.

    Raises:
        FileNotFoundError: if it has not.
    """
    if not (folder / DOCUMENTS).is_dir():
        raise FileNotFoundError(
            f"{folder / DOCUMENTS} is missing: run the stage that writes it, or all stages with `dvc repro`"
        )
