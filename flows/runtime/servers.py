"""The project's own MLflow and Prefect servers, for this machine only.

Run: ``python -m flows.runtime.servers up|down|status|ui``.

They keep their data in the work folder and run until ``down`` or a reboot.
"""

import argparse
import fcntl
import logging
import os
import re
import sqlite3
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flows.runtime.commands import run_command
from flows.runtime.server_process import Daemon
from tasks.context.environment import Environment
from tasks.context.server_record import HOST
from tasks.tracking import experiment_page, relocate_store

logger = logging.getLogger(__name__)

EXPERIMENTS = "/#/experiments?workflowType=machine_learning"
ESCAPE = re.compile("%[0-9A-Fa-f]{2}")


def up(environment: Environment) -> dict[str, str]:
    """Start the servers that do not run yet and wait until each is ready; return the address of each by title.

    A server that the user configured (``PREFECT_API_URL``, ``MLFLOW_TRACKING_URI``) is used as it is.

    Raises:
        UserError: if a server ends or stays silent; the message holds the end of its log.
    """
    _warn_of_folder(environment.work_folder)
    addresses = _configured(environment)
    own = [daemon for daemon in daemons(environment) if daemon.title not in addresses]
    with _lock(environment.work_folder):
        with suppress(sqlite3.Error):  # the next stage that tracks tries again
            relocate_store(environment)
        started = [(daemon, daemon.running() or daemon.launch()) for daemon in own]
        for daemon, running in started:
            addresses[daemon.title] = daemon.wait_until_ready(running).url
    return addresses


def down(environment: Environment) -> list[str]:
    """Stop the servers that :func:`up` started, and nothing else; return their titles."""
    with _lock(environment.work_folder):
        return [daemon.title for daemon in daemons(environment) if daemon.stop()]


def daemons(environment: Environment) -> tuple[Daemon, Daemon]:
    """The two servers of the project."""
    return _mlflow(environment), _prefect(environment)


def _mlflow(environment: Environment) -> Daemon:
    def command(port: int) -> list[str]:
        return [
            *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"),
            *("--backend-store-uri", environment.mlflow_store_uri),
            # A folder, not an address of the server's: what is logged while no server runs lands there as well.
            *("--default-artifact-root", environment.mlflow_artifacts_uri),
            *("--artifacts-destination", environment.mlflow_artifacts_uri),
            *("--uvicorn-opts", "--http flows.runtime.same_origin:TrackingServerProtocol --ws none"),
        ]

    return Daemon(
        name="mlflow",
        title="MLflow",
        preferred_port=environment.mlflow_port,
        health_path="/health",
        command=command,
        variables=lambda _: {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # eight processes nobody needs
        data_folder=environment.mlflow_folder,
        record=environment.server_record("mlflow"),
        log=environment.server_record("mlflow").with_suffix(".log"),
    )


def _prefect(environment: Environment) -> Daemon:
    data_folder = environment.work_folder / "prefect"

    def command(port: int) -> list[str]:
        # As `prefect server start` does, which cannot be told to look at where requests come from.
        return [
            *(sys.executable, "-m", "uvicorn", "--factory", "flows.runtime.prefect_app:create_app"),
            *("--host", HOST, "--port", str(port), "--timeout-keep-alive", "5"),
        ]

    return Daemon(
        name="prefect",
        title="Prefect",
        preferred_port=environment.prefect_port,
        health_path="/api/health",
        command=command,
        variables=lambda port: {
            "PREFECT_HOME": str(data_folder),
            "PREFECT_API_URL": f"http://{HOST}:{port}/api",
        },
        data_folder=data_folder,
        record=environment.server_record("prefect"),
        log=environment.server_record("prefect").with_suffix(".log"),
    )


def _configured(environment: Environment) -> dict[str, str]:
    urls = {"MLflow": environment.configured_mlflow_tracking_uri, "Prefect": environment.configured_prefect_api_url}
    return {title: url for title, url in urls.items() if url}


@contextmanager
def _lock(work_folder: Path) -> Iterator[None]:
    """One start or stop at a time: two commands at once must not start two servers of a kind."""
    folder = work_folder / "servers"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _warn_of_folder(work_folder: Path) -> None:
    if escape := ESCAPE.search(str(work_folder)):
        logger.warning(
            "%s has %s in its name, which MLflow takes for another character when it loads a model: rename the folder, "
            "or set LMCORE_WORK_FOLDER to another one",
            work_folder,
            escape[0],
        )


def _pages(environment: Environment, addresses: dict[str, str]) -> dict[str, str]:
    """What a person opens."""
    pages = {title: url.removesuffix("/api") for title, url in addresses.items()}
    return pages | {"MLflow": _tracking_page(environment) or pages["MLflow"]}


def _tracking_page(environment: Environment) -> str | None:
    """The table of runs, or the list of experiments before the first one: MLflow's start page is about other things."""
    page = experiment_page(environment)
    return f"{page}{EXPERIMENTS}" if page and "#" not in page else page


def _show_status(environment: Environment) -> None:
    configured = _configured(environment)
    for daemon in daemons(environment):
        url = configured.get(daemon.title)
        logger.info("%-8s %s", daemon.title, f"configured: {url}" if url else daemon.describe())
        if daemon.title == "MLflow" and (page := _tracking_page(environment)):
            logger.info("%-8s %s", "", page)


def _show_addresses(addresses: dict[str, str]) -> None:
    for title, url in addresses.items():
        logger.info("%-8s %s", title, url)


def _act(action: str, environment: Environment) -> None:
    match action:
        case "up":
            _show_addresses(_pages(environment, up(environment)))
        case "ui":
            pages = _pages(environment, up(environment))
            _show_addresses(pages)
            if _has_display():
                for url in pages.values():
                    webbrowser.open(url)
        case "down":
            logger.info("Stopped: %s", ", ".join(down(environment)) or "nothing, no server was running")
        case "status":
            _show_status(environment)


def _has_display() -> bool:
    """Whether a browser can show itself; without, ``webbrowser`` may take over the terminal."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m flows.runtime.servers", description="The project's own servers.")
    parser.add_argument("action", choices=("up", "down", "status", "ui"))
    action = parser.parse_args().action
    run_command(f"servers {action}", lambda: _act(action, Environment()))


if __name__ == "__main__":
    main()
