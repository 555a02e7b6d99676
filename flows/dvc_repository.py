"""The project as DVC's library opens it: its small files replaced atomically, what a kill damaged set aside."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from flows.dvc_locks import mend_locks
from lmcore.errors import UserError
from lmcore.files import set_aside

if TYPE_CHECKING:
    from dvc.repo import Repo

logger = logging.getLogger(__name__)

REWRITTEN_IN_PLACE = ("rwlock", "dvc.lock")


def mend_repository(root: Path) -> None:
    """Let DVC go on after a kill or a damage: whatever of its own it can make again is set aside, and named.

    This process must not use DVC yet.
    """
    if (root / ".dvc").is_dir():
        mend_locks(root)
        for database in _databases(Path(os.environ["DVC_SITE_CACHE_DIR"])):
            _mend_database(database)


def open_repository() -> "Repo":
    """The DVC project in the current folder; it waits for DVC's lock.

    Raises:
        UserError: if there is none, or one of its files cannot be read.
    """
    from dvc.fs import LocalFileSystem
    from dvc.repo import Repo

    class AtomicFiles(LocalFileSystem):  # type: ignore[misc]
        """A kill while DVC rewrites its lock files leaves the old ones, not empty ones."""

        def open(self, path: str, mode: str = "r", **options: Any) -> Any:
            if mode.startswith("w") and Path(path).name in REWRITTEN_IN_PLACE:
                return _replacing(Path(path), mode, **options)
            return super().open(path, mode, **options)

    with explained():
        return Repo(fs=AtomicFiles(), _wait_for_lock=True)


@contextmanager
def explained() -> Iterator[None]:
    """Turn DVC's errors about the project's own files into one line that says what to do."""
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.scm import SCMError
    from dvc.utils.strictyaml import YAMLSyntaxError, YAMLValidationError

    try:
        yield
    except NotDvcRepoError as error:
        raise UserError(f"there is no DVC project in {Path.cwd()}: run from the project's root") from error
    except SCMError as error:
        raise UserError(
            "DVC needs the git repository that this folder does not have: clone the project, or run `git init` here"
        ) from error
    except (YAMLSyntaxError, YAMLValidationError, DvcException) as error:
        if file := _damaged_file(error):
            raise UserError(_how_to_mend(file)) from error
        raise


def reasons(error: BaseException) -> str:
    """The messages of an error and of those that caused it, on one line."""
    messages: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        message = " ".join(str(cause).split())
        if message and message not in messages:
            messages.append(message)
        cause = cause.__cause__
    return ": ".join(messages) or type(error).__name__


def _damaged_file(error: BaseException) -> str | None:
    """The project's file that DVC could not read, if that is what an error is about."""
    from dvc.utils.serialize import EncodingError
    from dvc.utils.strictyaml import YAMLSyntaxError, YAMLValidationError

    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case YAMLSyntaxError() | YAMLValidationError():
                return Path(cause.relpath).name
            case EncodingError():
                return Path(cause.path).name
        cause = cause.__cause__
    return None


def _how_to_mend(file: str) -> str:
    text = Path(file).read_bytes() if Path(file).exists() else b""
    if not text.strip():
        problem = "is empty"
    elif any(line.startswith((b"<<<<<<< ", b">>>>>>> ")) for line in text.splitlines()):
        problem = "holds the conflict markers of a merge"
    else:
        problem = "is damaged: DVC cannot read it"
    kept = "; DVC's cache keeps the results of earlier runs and finds them again" if file == "dvc.lock" else ""
    return f"{file} {problem}: restore it with `git checkout {file}`, and give the same command again{kept}"


@contextmanager
def _replacing(path: Path, mode: str, **options: Any) -> Iterator[IO[Any]]:
    # DVC lets only one process write such a file at a time. Not flushed to the disk: that protects from a power cut
    # only, after which the file is mended, and it is rewritten at every step.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open(mode, **options) as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _databases(site_cache: Path) -> Iterator[Path]:
    """DVC's own databases: what it knows of hashes and links, and an index of data. It makes each of them again."""
    yield from sorted(site_cache.glob("repo/*/links/cache.db"))
    yield from sorted(site_cache.glob("repo/*/hashes/local/cache.db"))
    yield from sorted(site_cache.glob("repo/*/index/data/db.db"))


def _mend_database(file: Path) -> None:
    problems: list[tuple[str]]
    try:
        with closing(sqlite3.connect(file, timeout=1)) as connection:
            problems = connection.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.OperationalError:
        return  # in use, or the disk is full: no damage
    except sqlite3.DatabaseError as error:
        problems = [(str(error),)]
    if problems != [("ok",)]:
        with suppress(FileNotFoundError):  # another process was quicker
            kept = set_aside(file.parent)
            logger.warning("DVC's database %s was damaged; it is now in %s, and DVC makes it again", file, kept.name)
