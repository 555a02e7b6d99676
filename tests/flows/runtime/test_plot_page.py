"""The plots of DVC are shown on a machine without a network."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.runtime.plot_page import PAGE, write_plot_page
from tests.sample_project import PROJECT


def test_the_plots_of_dvc_load_nothing_from_the_network(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / ".dvc", tmp_path / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache", "config.local"))
    (tmp_path / "curve.csv").write_text("step,loss\n1,3.5\n2,2.5\n")
    (tmp_path / "dvc.yaml").write_text("plots:\n- Loss:\n    x: step\n    y: {curve.csv: loss}\n")
    write_plot_page(tmp_path / PAGE)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "plots", "show"], cwd=tmp_path, check=True, capture_output=True)
    page = (tmp_path / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"(?:src|href)=.?https?://[^>]*", page) == []
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium to open the page with")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
    shown = subprocess.run(
        [browser, *options, f"--user-data-dir={tmp_path / 'browser'}", (tmp_path / "dvc_plots/index.html").as_uri()],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "vega-embed" in shown
    assert "<canvas" in shown or "<svg" in shown
