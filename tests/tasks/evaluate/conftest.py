from pathlib import Path

import pytest

from tests.tasks.evaluate.evaluated_project import run_tasks, write_documents, write_models


@pytest.fixture(scope="package")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose evaluation is in ``reports``."""
    folder = tmp_path_factory.mktemp("project")
    write_models(folder, write_documents(folder / "clean"))
    run_tasks(folder, "reports")
    return folder
