"""Updates the paths in the project's own store after its folder was moved or copied.

MLflow keeps absolute paths in its database. They are updated in the SQLite file itself, before a server or client opens
it: ``python -m tasks.tracking.store.relocation``.
"""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

from tasks.context.environment import Environment
from tasks.context.library_settings import remember_store, withdraw_defaults
from tasks.tracking.store.experiment import EXPERIMENT

logger = logging.getLogger(__name__)

SQLITE_TIMEOUT_SECONDS = 5.0
ARTIFACTS_SUFFIX = "/mlflow/artifacts"
ADDRESS_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
TEXT_COLUMNS = (("tags", "value"), ("model_versions", "description"), ("registered_models", "description"))


def relocate_store(environment: Environment) -> None:
    """Update the paths in the project's own store if its folder was moved or copied, in one transaction.

    Raises:
        sqlite3.Error: if another process keeps the file locked.
    """
    path = environment.mlflow_folder / "mlflow.db"
    if not path.exists() or environment.configured_mlflow_tracking_uri not in (None, environment.mlflow_store_uri):
        return
    artifacts = environment.mlflow_artifacts_uri
    with closing(sqlite3.connect(path, timeout=SQLITE_TIMEOUT_SECONDS)) as database:
        before = _artifact_location(database)
        if before is None or before == artifacts:
            return
        logger.info("The tracking store has moved from %s to %s; updating its paths", before, artifacts)
        with database:
            _replace_text(database, ADDRESS_COLUMNS, before, artifacts)
            old = Path(unquote(before.removeprefix("file://").removesuffix(ARTIFACTS_SUFFIX)))
            old_uri = Environment(work_folder=old).mlflow_store_uri
            _replace_text(database, TEXT_COLUMNS, old_uri, environment.mlflow_store_uri)


def _artifact_location(database: sqlite3.Connection) -> str | None:
    """The artifact folder in the database; None if it is not one of this project's own stores."""
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {table for table, _ in ADDRESS_COLUMNS} <= tables:
        return None
    found = database.execute("SELECT artifact_location FROM experiments WHERE name = ?", (EXPERIMENT,)).fetchone()
    location = str(found[0]) if found else ""
    return location if location.startswith("file:") and location.endswith(ARTIFACTS_SUFFIX) else None


def _replace_text(database: sqlite3.Connection, columns: tuple[tuple[str, str], ...], old: str, new: str) -> None:
    for table, column in columns:
        database.execute(
            f"UPDATE {table} SET {column} = replace({column}, ?, ?) WHERE instr({column}, ?) > 0", (old, new, old)
        )


def main() -> None:
    """Relocate the store, for a Python process that found it moved (``tasks/context/library_settings.py``)."""
    withdraw_defaults()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    environment = Environment()
    if environment.configured_mlflow_tracking_uri is None:
        relocate_store(environment)
        remember_store(environment.mlflow_folder)


if __name__ == "__main__":
    main()
