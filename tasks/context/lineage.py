"""The lineage of a model: code, data, parameters, environment, machine, and the execution that made it.

All facts are read from their current source (file contents, git, the running process), not from records of earlier
executions. They are strings under dotted names, ready to be MLflow tags.
"""

import getpass
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import psutil

from lmcore.runtime.files import content_digest, file_digest
from tasks.context.environment import Environment
from tasks.context.process import ProcessIdentity

# DVC rewrites its lock file after every stage; it follows from code, parameters and data.
ALL_BUT_DVC_LOCK = ("--", ".", ":(exclude)dvc.lock")
MAX_NEW_FILE_BYTES = 1_000_000
MAX_NEW_FILES = 200
DIGEST_LENGTH = 36
DEPENDENCY = "dvc.dep."
# The flag alone or combined with other flags that take no value.
FORCE = re.compile(r"--force|-[sfmpiPRdvqk]*f[sfmpiPRdvqk]*")


def lineage(environment: Environment, project: Path, stage: str) -> dict[str, str]:
    """All facts about an execution of ``stage`` in the folder ``project``.

    Names: ``git.*``, ``dvc.*``, ``prefect.*``, ``lock_file.sha256``, ``pipeline.id``, ``process.*``,
    ``machine.*`` and ``gpu.*``. Facts without a source (no git, no DVC, no Prefect) are left out.
    """
    from tasks.context.machine import machine_facts  # takes seconds: it imports torch

    dvc = dvc_facts(project, stage)
    # The most important facts first: MLflow's page keeps the order.
    return {
        "pipeline.id": pipeline_id(environment),
        **git_facts(project),
        **{name: value for name, value in dvc.items() if not name.startswith(DEPENDENCY)},
        **prefect_facts(),
        **machine_facts(),
        **process_facts(),
        **lock_file_facts(project),
        **{name: value for name, value in dvc.items() if name.startswith(DEPENDENCY)},
    }


def git_facts(project: Path) -> dict[str, str]:
    """Commit and branch of the project, and whether its files are exactly those of the commit."""
    commit = _git_lines(project, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return {}
    changed = _git_lines(project, "status", "--porcelain", "--untracked-files=all", *ALL_BUT_DVC_LOCK)
    return {
        "git.commit": commit[0],
        "git.branch": _git_lines(project, "rev-parse", "--abbrev-ref", "HEAD")[0],
        "git.dirty": str(bool(changed)).lower(),
        **({"git.changed_files": ", ".join(line[3:] for line in changed)} if changed else {}),
    }


def uncommitted_changes(project: Path) -> bytes:
    """A patch for ``git apply`` from the commit to the current files, including new ones.

    Large new files, and those beyond a maximum number, are left out and listed in the first lines.
    """
    changes = _git(project, "diff", "HEAD", "--binary", "--relative", *ALL_BUT_DVC_LOCK)
    listed = _git(project, "ls-files", "--others", "--exclude-standard", "-z", *ALL_BUT_DVC_LOCK)
    new_files = [os.fsdecode(name) for name in listed.split(b"\0") if name]
    small = [name for name in new_files if _size(project / name) <= MAX_NEW_FILE_BYTES][:MAX_NEW_FILES]
    left_out = [f"# Left out: {name}\n" for name in new_files if name not in set(small)]
    patches = [_git(project, "diff", "--binary", "--no-index", "--", os.devnull, name) for name in small]
    return b"".join([os.fsencode("".join(left_out)), changes, *patches])


def dvc_facts(project: Path, stage: str) -> dict[str, str]:
    """The stage, its DVC experiment, and DVC's content hash of each of its dependencies.

    The hashes are those of the current files; ``dvc.lock`` has those of the stage's last execution.
    """
    facts = {"dvc.stage": stage}
    if experiment := os.environ.get("DVC_EXP_NAME"):
        facts["dvc.experiment"] = experiment
        facts["dvc.experiment.baseline"] = os.environ.get("DVC_EXP_BASELINE_REV", "unknown")
    return facts | {f"{DEPENDENCY}{path}": digest for path, digest in _dependency_hashes(project, stage).items()}


def dataset_digest(project: Path, path: Path, facts: Mapping[str, str]) -> str:
    """The content hash of a data set in at most 36 characters: DVC's own or, without DVC, part of a SHA-256.

    Args:
        project: the folder that ``path`` is relative to.
        path: a file or folder.
        facts: the result of :func:`dvc_facts` for the stage that reads it.
    """
    if digest := facts.get(f"{DEPENDENCY}{path.as_posix()}"):
        return digest
    return content_digest(project / path)[:DIGEST_LENGTH]


def prefect_facts() -> dict[str, str]:
    """The current Prefect flow run, if any."""
    if "prefect" not in sys.modules:
        return {}
    from prefect.runtime import flow_run

    if flow_run.id is None:
        return {}
    return {"prefect.flow_run_id": str(flow_run.id), "prefect.flow_run_url": str(flow_run.ui_url)}


def lock_file_facts(project: Path) -> dict[str, str]:
    """The hash of the files that pin every installed package."""
    files = [project / "constraints.txt", *sorted((project / "constraints").glob("*.txt"))]
    digests = "\n".join(file_digest(file) for file in files if file.exists())
    return {"lock_file.sha256": hashlib.sha256(digests.encode()).hexdigest()} if digests else {}


def pipeline_id(environment: Environment) -> str:
    """The id of the execution that this process is part of: of the pipeline run, or of the ``dvc`` process above it.

    A stage that was started directly is an execution of its own.
    """
    if environment.pipeline_id:
        return environment.pipeline_id
    current = psutil.Process()
    root = next((process for process in current.parents() if _is_dvc(process)), current)
    start = datetime.fromtimestamp(root.create_time()).astimezone()
    return f"{start:%Y-%m-%d %H:%M:%S} {'dvc' if root is not current else 'stage'} {root.pid}"


def is_forced() -> bool:
    """Whether the ``dvc`` command above this process was called with ``--force``."""
    dvc = next((process for process in psutil.Process().parents() if _is_dvc(process)), None)
    with suppress(psutil.Error):
        return dvc is not None and any(FORCE.fullmatch(argument) for argument in dvc.cmdline())
    return False


def process_facts() -> dict[str, str]:
    """The process that runs the stage, and its user."""
    identity = ProcessIdentity.current().as_json()
    return {f"process.{name}": str(value) for name, value in identity.items()} | {"process.user": _user()}


def _git(project: Path, *arguments: str) -> bytes:
    """The output of a git command; empty without git or a repository."""
    command = ["git", "--no-optional-locks", "-c", "core.quotePath=false", *arguments]
    try:
        return subprocess.run(command, cwd=project, capture_output=True, check=False).stdout
    except FileNotFoundError:
        return b""


def _git_lines(project: Path, *arguments: str) -> list[str]:
    return _git(project, *arguments).decode("utf-8", errors="replace").splitlines()


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _dependency_hashes(project: Path, stage: str) -> dict[str, str]:
    # Imported here: it takes a third of a second, which only tracked stages need.
    from dvc.dependency import ParamsDependency
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(project)) as repo:
            found = repo.stage.load_one(str(project / "dvc.yaml"), stage)
            dependencies = [dep for dep in found.deps if not isinstance(dep, ParamsDependency) and dep.exists]
            return {dependency.def_path: dependency.get_hash().value for dependency in dependencies}
    except DvcException:
        return {}  # not a DVC project, or an unknown stage


def _is_dvc(process: psutil.Process) -> bool:
    try:
        return any(Path(part).stem == "dvc" for part in process.cmdline()[:3])
    except psutil.Error:
        return False


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"  # in a container, the user id may have no name
