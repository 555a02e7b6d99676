import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from lmcore.runtime.files import file_digest
from tasks.context.environment import Environment
from tasks.context.lineage import (
    dataset_digest,
    dvc_facts,
    git_facts,
    lineage,
    lock_file_facts,
    pipeline_id,
    prefect_facts,
    uncommitted_changes,
)

ROOT = Path(__file__).parents[3]

STAGES = """
stages:
  make:
    cmd: mkdir -p data && echo 5 > data/five && echo 6 > data/six
    outs: [data]
  use:
    cmd: {python} ask.py
    deps: [code, data]
    params: [use]
    outs: [answer.txt]
"""
# A stage that says what it knows of its own execution.
ASK = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tasks.context.environment import Environment
from tasks.context.lineage import dvc_facts, is_forced, pipeline_id
facts = dvc_facts(Path.cwd(), "use")
Path("answer.txt").write_text(pipeline_id(Environment()) + chr(10) + facts.get("dvc.experiment", "none"))
Path("forced.log").open("a").write(str(is_forced()) + chr(10))
"""


def run(project, *command):
    return subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path):
    """A git repository with one commit."""
    project = tmp_path / "repository"
    project.mkdir()
    (project / "code.py").write_text("one = 1\n")
    (project / ".gitignore").write_text("/data/\n")
    run(project, "git", "init", "--quiet", "--initial-branch", "main")
    commit(project)
    return project


def commit(project):
    run(project, "git", "add", "--all")
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    run(project, "git", *author, "commit", "--quiet", "--message", "first")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A DVC project whose two stages have run for the experiment ``brave-try``."""
    project = tmp_path_factory.mktemp("project")
    (project / "code" / "__pycache__").mkdir(parents=True)
    (project / "code" / "module.py").write_text("one = 1\n")
    (project / "code" / "__pycache__" / "module.pyc").write_text("compiled")
    (project / "dvc.yaml").write_text(STAGES.format(python=sys.executable))
    (project / "params.yaml").write_text("use: 1\n")
    (project / "ask.py").write_text(ASK.format(root=str(ROOT)))
    run(project, "git", "init", "--quiet", "--initial-branch", "main")
    Repo.init(str(project)).close()
    (project / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (project / ".dvcignore").write_text("__pycache__\n")
    commit(project)
    run(project, sys.executable, "-m", "dvc", "exp", "run", "--quiet", "--name", "brave-try")
    assert (project / "forced.log").read_text() == "False\n"
    return project


def locked_hashes(project, stage):
    lock = YAML(typ="safe").load((project / "dvc.lock").read_text())
    return {f"dvc.dep.{dep['path']}": dep["md5"] for dep in lock["stages"][stage]["deps"]}


def test_a_clean_commit_is_known_by_its_hash(repository):
    facts = git_facts(repository)
    assert facts["git.commit"] == run(repository, "git", "rev-parse", "HEAD").strip()
    assert (facts["git.branch"], facts["git.dirty"]) == ("main", "false")
    assert uncommitted_changes(repository) == b""


def test_what_a_pipeline_writes_does_not_make_the_code_dirty(repository):
    (repository / "dvc.lock").write_text("stages: {}")
    (repository / "data").mkdir()
    (repository / "data" / "made").write_text("by a stage")
    assert git_facts(repository)["git.dirty"] == "false"
    assert uncommitted_changes(repository) == b""


def test_commit_and_changes_give_back_exactly_the_files_that_ran(repository, tmp_path):
    (repository / "code.py").write_bytes("zwei = 'Äpfel'\n".encode("latin-1"))
    (repository / "new folder").mkdir()
    (repository / "new folder" / "neu-ä.py").write_text("three = 3\n")
    (repository / "image.bin").write_bytes(bytes(range(256)))
    facts = git_facts(repository)
    assert facts["git.dirty"] == "true"
    assert "neu-ä.py" in facts["git.changed_files"]
    (tmp_path / "changes.diff").write_bytes(uncommitted_changes(repository))
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", str(repository), str(clone))
    run(clone, "git", "checkout", "--quiet", facts["git.commit"])
    run(clone, "git", "apply", str(tmp_path / "changes.diff"))
    for name in ("code.py", "new folder/neu-ä.py", "image.bin"):
        assert (clone / name).read_bytes() == (repository / name).read_bytes()


def test_a_large_new_file_is_named_and_left_out(repository, tmp_path):
    (repository / "huge.bin").write_bytes(b"x" * 2_000_000)
    (repository / "small.py").write_text("one = 1\n")
    changes = uncommitted_changes(repository)
    assert changes.startswith(b"# Left out: huge.bin\n")
    assert len(changes) < 1000
    (tmp_path / "changes.diff").write_bytes(changes)
    (repository / "small.py").unlink()
    run(repository, "git", "apply", str(tmp_path / "changes.diff"))
    assert (repository / "small.py").exists()


def test_outside_of_git_and_dvc_there_is_nothing_to_tell(tmp_path):
    assert git_facts(tmp_path) == {}
    assert uncommitted_changes(tmp_path) == b""
    assert dvc_facts(tmp_path, "use") == {"dvc.stage": "use"}
    assert lock_file_facts(tmp_path) == {}


def test_hashes_of_dependencies_are_those_that_dvc_locks(project):
    hashes = locked_hashes(project, "use")
    assert hashes.keys() == {"dvc.dep.code", "dvc.dep.data"}
    assert dvc_facts(project, "use") == {"dvc.stage": "use", **hashes}
    assert dataset_digest(project, Path("data"), hashes) == hashes["dvc.dep.data"]


def test_hashes_follow_the_files_and_not_what_was_locked_earlier(project):
    path = project / "code" / "module.py"
    before = path.read_text()
    path.write_text("two = 2\n")
    try:
        facts = dvc_facts(project, "use")
    finally:
        path.write_text(before)
    locked = locked_hashes(project, "use")
    assert facts["dvc.dep.code"] != locked["dvc.dep.code"]
    assert facts["dvc.dep.data"] == locked["dvc.dep.data"]


def test_a_stage_belongs_to_the_dvc_process_and_the_experiment_that_run_it(project):
    pipeline, experiment = (project / "answer.txt").read_text().splitlines()
    assert " dvc " in pipeline
    assert experiment == "brave-try"


def test_a_stage_knows_whether_dvc_was_called_with_force(project):
    for arguments in (["--force", "use"], ["-sf", "use"]):
        (project / "forced.log").unlink()
        run(project, sys.executable, "-m", "dvc", "repro", "--quiet", *arguments)
        assert (project / "forced.log").read_text() == "True\n"


def test_the_pipelines_own_id_counts(monkeypatch):
    monkeypatch.setenv("LMCORE_PIPELINE_ID", "nightly 7")
    assert pipeline_id(Environment()) == "nightly 7"


def test_data_outside_of_dvc_is_known_by_its_content(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("a")
    first = dataset_digest(tmp_path, Path("data"), {})
    assert len(first) == 36
    (tmp_path / "data" / "file").write_text("b")
    assert dataset_digest(tmp_path, Path("data"), {}) != first
    assert dataset_digest(tmp_path, Path("data/file"), {}) == file_digest(tmp_path / "data" / "file")[:36]


def test_lineage_has_everything_in_one(project, monkeypatch):
    monkeypatch.delenv("LMCORE_PIPELINE_ID", raising=False)
    (project / "constraints.txt").write_text("numpy==2\n")
    facts = lineage(Environment(), project, "use")
    for name in ("git.commit", "dvc.dep.data", "lock_file.sha256", "pipeline.id", "process.pid", "gpu.count"):
        assert facts[name]
    assert all(isinstance(value, str) for value in facts.values())


def test_outside_of_prefect_there_is_no_flow_run():
    assert prefect_facts() == {}
