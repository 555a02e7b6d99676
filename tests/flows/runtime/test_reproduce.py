"""A stage that DVC runs, restores or fails to run is told apart, and a failure is told to the user once."""

import shutil
import subprocess
from pathlib import Path

import pytest

from flows.runtime.reproduce import reproduce
from lmcore.errors import UserError
from tests.sample_project import PROJECT

# DVC calls a library in a way that this library is about to give up.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

GRAPH = """\
stages:
  count:
    cmd: echo ran >> log.txt && wc -c < text.txt > count.txt
    deps: [text.txt]
    outs: [count.txt]
  fail:
    cmd: exit 3
    deps: [text.txt]
    outs: [nothing.txt]
  wait:
    cmd: 'true'
    deps: [missing.txt]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC project of shell commands, as the current folder."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / ".dvc").mkdir()
    shutil.copy(PROJECT / ".dvc" / "config", tmp_path / ".dvc" / "config")
    (tmp_path / "dvc.yaml").write_text(GRAPH)
    (tmp_path / "text.txt").write_text("four")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / ".work" / "dvc"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_stage_runs_when_it_has_to_and_otherwise_its_outputs_are_restored(project: Path) -> None:
    assert reproduce("count")
    assert (project / "count.txt").read_text().strip() == "4"
    (project / "count.txt").unlink()
    assert not reproduce("count")
    assert (project / "count.txt").read_text().strip() == "4"
    (project / "text.txt").write_text("seven..")
    assert reproduce("count")
    assert (project / "count.txt").read_text().strip() == "7"
    (project / "text.txt").write_text("four")
    assert not reproduce("count")
    assert (project / "count.txt").read_text().strip() == "4", "from the cache, of the first run"
    assert (project / "log.txt").read_text() == "ran\nran\n"


def test_a_stage_that_fails_has_shown_why(project: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        reproduce("fail")
    assert caught.value.code == 1


@pytest.mark.parametrize(("stage", "reason"), [("wait", "missing.txt"), ("unknown", "unknown")])
def test_what_dvc_itself_cannot_do_is_a_message(stage: str, reason: str, project: Path) -> None:
    with pytest.raises(UserError, match=reason):
        reproduce(stage)
