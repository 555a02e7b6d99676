"""Opens the project with DVC's library; DVC's small files are written atomically, and damaged ones are repaired."""

import logging
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from flows.runtime.dvc_locks import TEMPORARY, repair_locks
from lmcore.errors import UserError
from lmcore.runtime.damaged_files import set_aside
from lmcore.runtime.files import write_text
from tasks.context.errors import causes

if TYPE_CHECKING:
    from dvc.repo import Repo

logger = logging.getLogger(__name__)

REWRITTEN_IN_PLACE = ("rwlock", "dvc.lock")
KEPT_RECORD = "dvc.lock.kept"
CONFLICT = b"<<<<<<< "


def repair_repository(root: Path) -> None:
    """Repair DVC's own files after a kill: damaged files that DVC can recreate are moved aside and reported.

    Call this before the process uses DVC.
    """
    if not (root / ".dvc").is_dir():
        return
    site_cache = Path(os.environ["DVC_SITE_CACHE_DIR"])
    try:
        repair_locks(root)
        _close_to_others(site_cache, root)
        for database in _databases(site_cache):
            _repair_database(database)
        _repair_record(root / "dvc.lock", site_cache.parent)
    except OSError as error:  # a read-only folder, for example, in which much works without DVC
        logger.warning("DVC's own files could not be checked: %s", error)


def open_repository() -> "Repo":
    """Open the DVC project in the current folder, after waiting for DVC's lock.

    Raises:
        UserError: if there is no project, or one of its files cannot be read.
    """
    from dvc.fs import LocalFileSystem
    from dvc.repo import Repo
    from dvc.stage.cache import StageCache

    class AtomicFiles(LocalFileSystem):  # type: ignore[misc]
        """A kill while DVC rewrites one of its lock files leaves the old file, not an empty one."""

        def open(self, path: str, mode: str = "r", **options: Any) -> Any:
            if mode.startswith("w") and Path(path).name in REWRITTEN_IN_PLACE:
                return _replace_atomically(Path(path), mode, **options)
            return super().open(path, mode, **options)

    class WatchedStageCache(StageCache):  # type: ignore[misc]
        """Remembers the stages whose outputs it has restored."""

        def __init__(self, repo: Repo) -> None:
            super().__init__(repo)
            self.restored: set[str] = set()

        def restore(self, stage: Any, *arguments: Any, **options: Any) -> None:
            super().restore(stage, *arguments, **options)
            self.restored.add(stage.addressing)

    with explained():
        repository = Repo(fs=AtomicFiles(), _wait_for_lock=True)
    repository.stage_cache = WatchedStageCache(repository)
    return repository


def is_restored(repository: "Repo", stage: Any) -> bool:
    """Whether DVC restored a stage's outputs from its cache, in a repository of :func:`open_repository`."""
    return stage.addressing in repository.stage_cache.restored


@contextmanager
def explained() -> Iterator[None]:
    """Turn DVC's errors about the project's own files into a message that says what to do."""
    from dvc.exceptions import DvcException, NotDvcRepoError, ReproductionError
    from dvc.lock import LockError
    from dvc.scm import SCMError

    try:
        yield
    except NotDvcRepoError as error:
        raise UserError(f"there is no DVC project in {Path.cwd()}: run from the project's root") from error
    except SCMError as error:
        advice = "clone the project with git, or run `git init` in this folder"
        raise UserError(f"DVC needs a git repository, but found none that it can use ({error}): {advice}") from error
    except (LockError, ReproductionError):
        raise  # about another process, or a stage
    except DvcException as error:
        file = _damaged_file(error)
        raise UserError(_how_to_repair(file, reasons(error)) if file else reasons(error)) from error


def reasons(error: BaseException) -> str:
    """The messages of an error and its causes, on one line."""
    messages = [" ".join(str(cause).split()) for cause in causes(error)]
    return ": ".join(dict.fromkeys(message for message in messages if message)) or type(error).__name__


def _damaged_file(error: BaseException) -> str | None:
    """The name of the project's file that DVC could not read, if an error is about one."""
    from dvc.utils.serialize import EncodingError
    from dvc.utils.strictyaml import YAMLSyntaxError, YAMLValidationError

    for cause in causes(error):
        if isinstance(cause, YAMLSyntaxError | YAMLValidationError | EncodingError):
            return Path(cause.path).name
    return None


def _how_to_repair(file: str, reason: str) -> str:
    if file != "dvc.lock":  # written by hand
        return f"DVC cannot read {file} ({reason}): correct it or restore the committed version (`git checkout {file}`)"
    text = Path(file).read_bytes() if Path(file).exists() else b""
    if not text.strip():
        problem = "is empty"
    elif any(line.startswith((b"<<<<<<< ", b">>>>>>> ")) for line in text.splitlines()):
        problem = "contains the conflict markers of a merge"
    else:
        problem = "is damaged and cannot be read by DVC"
    committed = subprocess.run(["git", "cat-file", "-e", f"HEAD:./{file}"], capture_output=True, check=False)
    restore = "restore the committed version (`git checkout dvc.lock`)" if committed.returncode == 0 else "remove it"
    return f"{file} {problem}: {restore} and repeat the command; the results of earlier runs are still in DVC's cache"


@contextmanager
def _replace_atomically(path: Path, mode: str, **options: Any) -> Iterator[IO[Any]]:
    # One name is enough: DVC lets one process at a time write such a file, and a leftover of a kill is overwritten.
    temporary = TEMPORARY / f"{path.name}.new"
    with temporary.open(mode, **options) as file:
        yield file
        file.flush()
        if path.name == "dvc.lock":  # the other file is rewritten often, and repaired after a power cut
            os.fsync(file.fileno())
    temporary.replace(path)


def _close_to_others(site_cache: Path, root: Path) -> None:
    """DVC makes these folders writable for all users of the machine; those in the project are for its owner alone."""
    if not site_cache.is_relative_to(root):
        return
    (site_cache / "repo").mkdir(parents=True, exist_ok=True)
    for folder in (site_cache, site_cache / "repo"):
        if (status := folder.stat()).st_uid == os.getuid() and status.st_mode & 0o077:
            folder.chmod(0o700)


def _repair_record(lock: Path, work_folder: Path) -> None:
    """Restore the last valid ``dvc.lock`` if a kill truncated it; merge conflicts are left to the user."""
    if not lock.is_file():
        return
    kept, content = work_folder / KEPT_RECORD, lock.read_bytes()
    if kept.exists() and kept.read_bytes() == content:
        return
    if _is_record(content):
        write_text(kept, content.decode("utf-8"))
    elif kept.exists() and CONFLICT not in content:
        aside = set_aside(lock, folder=work_folder / "damaged")
        write_text(lock, kept.read_text(encoding="utf-8"))
        logger.warning(
            "dvc.lock was damaged: its last valid content has been restored, the damaged file moved to %s", aside
        )


def _is_record(content: bytes) -> bool:
    import yaml  # type: ignore[import-untyped]  # much faster than ruamel.yaml; the content is only checked

    try:
        value = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(value, dict) and isinstance(value.get("stages"), dict) and content.endswith(b"\n")


def _databases(site_cache: Path) -> Iterator[Path]:
    """DVC's own databases of hashes, links and the data index, each of which DVC can recreate."""
    yield from sorted(site_cache.glob("repo/*/links/cache.db"))
    yield from sorted(site_cache.glob("repo/*/hashes/local/cache.db"))
    yield from sorted(site_cache.glob("repo/*/index/data/db.db"))


def _repair_database(file: Path) -> None:
    problems: list[tuple[str]]
    try:
        with closing(sqlite3.connect(file, timeout=1)) as connection:
            problems = connection.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.OperationalError:
        return  # in use, or the disk is full: not damaged
    except sqlite3.DatabaseError as error:
        problems = [(str(error),)]
    if problems != [("ok",)]:
        with suppress(FileNotFoundError):  # another process was first
            kept = set_aside(file.parent)
            logger.warning("DVC's database %s was damaged; moved to %s, and DVC recreates it", file, kept.name)
