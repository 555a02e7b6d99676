"""``pip install lmcore`` without extras: neither orchestration nor other top-level packages, and the page about the
library works there as it stands."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from email.message import Message
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import lmcore
from lmcore.models.chat_template import DEFAULT_TEMPLATE
from tests.lmcore.api.test_api import TEXTS, save_tiny_bert

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "library.md"
ORCHESTRATION = {"dvc", "prefect", "mlflow", "distributed", "pydantic-settings", "datasets", "spacy"}
MAX_LINES = 5


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a build leaves its own folders beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, folder)
    for package in ("lmcore", "tasks", "flows"):
        shutil.copytree(PROJECT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools.build_meta import build_wheel; build_wheel('.')"
    subprocess.run([sys.executable, "-W", "ignore", "-c", build], cwd=folder, capture_output=True, check=True)
    return next(folder.glob("lmcore-*.whl"))


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_string(archive.read(path).decode())


@pytest.fixture(scope="module")
def bare(wheel: Path, metadata: Message, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what ``pip install lmcore`` installs, and nothing else; other packages are links."""
    folder = tmp_path_factory.mktemp("bare")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    for name in installed_with(metadata):
        for file in distribution(name).files or []:
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (folder / top).exists():
                (folder / top).symlink_to(
                    Path(str(file.locate())).parents[len(file.parts) - 2]
                    if len(file.parts) > 1
                    else Path(str(file.locate()))
                )
    return folder


def installed_with(metadata: Message, extra: str = "") -> set[str]:
    """The distributions that come with this one, with those that these need, by name."""
    waiting = [(Requirement(text), extra) for text in metadata.get_all("Requires-Dist") or []]
    found: set[str] = set()
    while waiting:
        requirement, wanted_extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": wanted_extra}):
            continue
        name = requirement.name.lower().replace("_", "-")
        if name != "lmcore" and name not in found:
            found.add(name)
            needed = distribution(name).requires or []
            waiting += [(Requirement(text), one) for text in needed for one in requirement.extras or [""]]
    return found


def run_bare(bare: Path, folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run a program where only the bare folder and the standard library can be imported."""
    start = f"import sys; sys.path.append({str(bare)!r})\n"
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment["OMP_NUM_THREADS"] = "1"  # other tests run at the same time
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", start + program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_packages_of_the_orchestration_come_only_with_the_extra_pipeline(metadata: Message) -> None:
    assert installed_with(metadata) & ORCHESTRATION == set()
    named = {Requirement(text) for text in metadata.get_all("Requires-Dist") or []}
    optional = {one.name for one in named if one.marker and one.marker.evaluate({"extra": "pipeline"})}
    assert {"dvc", "prefect", "mlflow", "distributed", "pydantic-settings"} <= optional
    of_dev = [one for one in named if one.name == "lmcore" and one.marker and one.marker.evaluate({"extra": "dev"})]
    assert any("pipeline" in one.extras for one in of_dev)


def test_the_wheel_installs_one_top_level_package_with_its_templates(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"lmcore"}
    sources = {
        str(file.relative_to(PROJECT))
        for file in (PROJECT / "lmcore").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {name for name in names if ".dist-info" not in name} == sources


def test_in_a_bare_environment_the_orchestration_cannot_be_imported(bare: Path, tmp_path: Path) -> None:
    names = ("dvc", "prefect", "mlflow", "distributed", "spacy", "flows", "tasks")
    program = f"from importlib.util import find_spec; print([name for name in {names} if find_spec(name)])"
    assert run_bare(bare, tmp_path, program).stdout.strip() == "[]"


def code_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_each_example_of_the_page_has_at_most_five_lines() -> None:
    blocks = code_blocks()
    assert len(blocks) >= 6
    assert [block for block in blocks if len(block.strip().splitlines()) > MAX_LINES] == []


def test_the_examples_of_the_page_and_the_command_run_in_a_bare_environment(bare: Path, tmp_path: Path) -> None:
    gpt2 = lmcore.train(TEXTS, max_steps=3, hidden_size=32, num_hidden_layers=1, family="gpt2")
    gpt2.save_huggingface(tmp_path / "gpt2")
    lmcore.LanguageModel(gpt2.model, gpt2.tokenizer, chat_template=DEFAULT_TEMPLATE).save(tmp_path / "chat")
    save_tiny_bert(tmp_path / "bert")
    check = (
        "assert classifier.predict('The new dog is asleep.') in classifier.labels\n"
        "assert lmcore.load('my-classifier').labels == ('other', 'pet')\n"
        "from lmcore.command_line.main import main\n"
        "main(['generate', 'my-model', '--prompt', 'The red', '--max-new-tokens', '8'])\n"
        "main(['convert', 'my-gpt2', 'converted'])\n"
    )
    done = run_bare(bare, tmp_path, "\n".join([*code_blocks(), check]))
    assert "wrote converted: a model folder of lmcore" in done.stdout
    assert "validation loss" in done.stderr
    names = {"my-model", "my-classifier", "my-gpt2", "my-bert", "converted", "gpt2", "bert", "chat"}
    assert {path.name for path in tmp_path.iterdir()} == names
