from pathlib import Path

import pytest

from tasks.context.inputs import require_documents


def test_missing_documents_name_the_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"documents is missing: run the stage that writes it.*`dvc repro`"):
        require_documents(tmp_path)
    (tmp_path / "documents").mkdir()
    require_documents(tmp_path)
