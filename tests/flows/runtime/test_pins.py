from pathlib import Path

import pytest

from flows.runtime.pins import update_pins
from lmcore.errors import UserError

WHOLE = "# All packages.\n-c constraints/torch.txt\nabsl-py==2.5.1\nzipp==3.1\n"
TORCH = "# Models.\nen-core-web==1.0\ntorch==2.13.0\n"
INSTALLED = {"absl-py": "2.5.1", "zipp": "3.1", "torch": "2.13.0", "en_core_web": "1.0", "pip": "26", "lmcore": "0"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "constraints").mkdir()
    (tmp_path / "constraints.txt").write_text(WHOLE)
    (tmp_path / "constraints" / "torch.txt").write_text(TORCH)
    return tmp_path


def test_pins_of_what_is_installed_stay_as_they_are(project: Path) -> None:
    assert update_pins(project, INSTALLED) == []
    assert (project / "constraints.txt").read_text() == WHOLE
    assert (project / "constraints" / "torch.txt").read_text() == TORCH


def test_every_pin_stays_in_its_file_and_new_packages_come_into_the_common_one(project: Path) -> None:
    installed = {**INSTALLED, "torch": "2.14.0", "Babel": "1.0"}
    del installed["zipp"]
    assert update_pins(project, installed) == [
        "Babel 1.0 is added to constraints.txt",
        "torch 2.13.0 becomes 2.14.0",
        "zipp 3.1 is removed",
    ]
    assert (project / "constraints.txt").read_text() == (
        "# All packages.\n-c constraints/torch.txt\nabsl-py==2.5.1\nBabel==1.0\n"
    )
    assert (project / "constraints" / "torch.txt").read_text() == TORCH.replace("2.13.0", "2.14.0")
    assert update_pins(project, installed) == []


@pytest.mark.parametrize("installed", [{}, {"pip": "26"}])
def test_an_empty_environment_is_refused(project: Path, installed: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"constraints\.txt cannot be updated"):
        update_pins(project, installed)
    assert (project / "constraints.txt").read_text() == WHOLE
