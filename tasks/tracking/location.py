"""The location of the project's own tracking store; its paths are updated when the folder is moved or copied.

MLflow keeps absolute addresses of artifacts in its database. This reads and writes the file itself, so that it is
right before a server opens it.
"""

import logging
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

from tasks.context.environment import Environment
from tasks.context.library_settings import remember_store, withdraw_defaults

logger = logging.getLogger(__name__)

SUFFIX = "/mlflow/artifacts"
BUSY_SECONDS = 5.0
# What MLflow decodes twice where it reads and once where it writes.
ESCAPE = re.compile("%[0-9A-Fa-f]{2}")

# Columns that hold an address or a text with addresses in it.
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
TEXTS = (("tags", "value"), ("model_versions", "description"), ("registered_models", "description"))


def relocate_store(environment: Environment) -> None:
    """Update the paths in the project's own store if its folder was moved or copied, in one transaction.

    Raises:
        sqlite3.Error: if another process keeps the file locked.
    """
    path = environment.mlflow_folder / "mlflow.db"
    if not path.exists() or environment.configured_mlflow_tracking_uri not in (None, environment.mlflow_store_uri):
        return
    here = environment.mlflow_artifacts_uri
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as database:
        before = _recorded_artifacts(database)
        if before is None or before == here:
            return
        logger.info("The tracking store has moved from %s to %s; updating its paths", before, here)
        with database:
            _replace(database, ADDRESSES, before, here)
            old = Path(unquote(before.removeprefix("file://").removesuffix(SUFFIX)))
            _replace(database, TEXTS, Environment(work_folder=old).mlflow_store_uri, environment.mlflow_store_uri)


def check_named_store(environment: Environment) -> None:
    """Prevent an unintended database, and warn if MLflow cannot read what it writes.

    Raises:
        FileNotFoundError: if ``MLFLOW_TRACKING_URI`` names a SQLite file in a folder that does not exist.
    """
    if escape := ESCAPE.search(str(environment.mlflow_folder)):
        logger.warning("MLflow cannot load models below a folder with %s in its path: rename it", escape.group())
    uri = environment.configured_mlflow_tracking_uri or ""
    if not uri.startswith("sqlite:///") or uri == environment.mlflow_store_uri:
        return
    path = Path(uri.removeprefix("sqlite:///"))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"MLFLOW_TRACKING_URI={uri}: there is no folder {path.parent}; correct it or create it")
    if not path.exists():
        logger.warning("MLFLOW_TRACKING_URI=%s: the file does not exist yet; creating an empty tracking store", uri)


def without_password(uri: str) -> str:
    """An address without the user name and password of a server."""
    scheme, separator, rest = uri.partition("://")
    server, slash, path = rest.partition("/")
    return f"{scheme}{separator}{server.rpartition('@')[2]}{slash}{path}"


def _recorded_artifacts(database: sqlite3.Connection) -> str | None:
    """The artifacts' folder as the database knows it; None where it has none in a folder of this project's kind."""
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {table for table, _ in ADDRESSES} <= tables:
        return None
    rows = database.execute("SELECT artifact_location FROM experiments WHERE name = 'lmcore'").fetchall()
    location = str(rows[0][0]) if rows else ""
    return location if location.startswith("file:") and location.endswith(SUFFIX) else None


def _replace(database: sqlite3.Connection, columns: tuple[tuple[str, str], ...], before: str, after: str) -> None:
    for table, column in columns:
        database.execute(
            f"UPDATE {table} SET {column} = replace({column}, ?, ?) WHERE instr({column}, ?) > 0",
            (before, after, before),
        )


def main() -> None:
    """Follow the store to where it is now, for a Python that found it elsewhere (``library_settings.py``)."""
    withdraw_defaults()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    environment = Environment()
    if environment.configured_mlflow_tracking_uri is None:
        relocate_store(environment)
        remember_store(environment.mlflow_folder)


if __name__ == "__main__":
    main()
