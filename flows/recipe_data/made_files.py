"""Files that a program makes once, and again when what they are made from has changed."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from lmcore.runtime.files import file_digest, write_json

RECORD = "made.json"


def make_files(folder: Path, names: Sequence[str], origin: str, make: Callable[[], None]) -> bool:
    """Make files, unless all of them are already there, made from the same origin; returns whether they were made.

    ``made.json``, written last, records the origin and the files' content: what an interrupted or changed program
    made, or somebody edited, is made again.

    Args:
        folder: where the files are.
        names: their names.
        origin: what their content depends on, such as digests of the program and of its inputs.
        make: writes all of them.
    """
    if _recorded(folder) == _present(folder, names, origin):
        return False
    make()
    write_json(folder / RECORD, _present(folder, names, origin))
    return True


def _recorded(folder: Path) -> object:
    try:
        return json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _present(folder: Path, names: Sequence[str], origin: str) -> object:
    files = {name: file_digest(folder / name) for name in names if (folder / name).exists()}
    return {"origin": origin, "files": files} if len(files) == len(names) else {}
