"""The documentation builds as a site, its links lead somewhere, and its numbers are those of the committed run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
METRICS = json.loads((PROJECT / "reports" / "metrics.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it; a broken link or anchor is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(folder),
    ]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_has_every_page_and_an_index_for_its_search(site: Path) -> None:
    pages = {file.relative_to(PROJECT / "docs").with_suffix(".html") for file in (PROJECT / "docs").rglob("*.md")}
    assert all((site / page).exists() for page in pages)
    found = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    assert "lmcore.training" in found, "the API reference is searched, too"


def test_the_site_needs_no_network(site: Path) -> None:
    loaded = re.compile(r"<(?:script|link|img)[^>]+(?:src|href)=\"?(https?:[^\"\s>]+)")
    found = {address for file in site.rglob("*.html") for address in loaded.findall(file.read_text(encoding="utf-8"))}
    assert found == set()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_the_links_of_the_pages_beside_the_site_lead_somewhere(page: str) -> None:
    links = LINK.findall((PROJECT / page).read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (PROJECT / link).exists()]
    assert missing == []


def test_the_readme_is_a_landing_page() -> None:
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) < 200


@pytest.mark.parametrize("page", ["README.md", "docs/results.md", "docs/pictures/pipeline.svg"])
def test_the_numbers_are_those_of_the_committed_run(page: str) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    numbers = [
        f"{METRICS['bits_per_byte_clean']:.3f}",
        f"{METRICS['accuracy_clean']:.3f}",
        f"{METRICS['exact_match_clean']:.3f}",
    ]
    assert [number for number in numbers if number not in text] == []
