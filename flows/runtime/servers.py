"""The project's own MLflow and Prefect servers, for this machine only.

Run: ``python -m flows.runtime.servers up|down|status|ui``.

Their data are in the work folder. They run until ``down`` or a reboot.
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
from flows.runtime.server_process import ServerProcess
from tasks.context.environment import Environment
from tasks.context.server_record import HOST
from tasks.tracking import experiment_page, relocate_store

logger = logging.getLogger(__name__)

EXPERIMENTS = "/#/experiments?workflowType=machine_learning"
ESCAPE = re.compile("%[0-9A-Fa-f]{2}")


def up(environment: Environment) -> dict[str, str]:
    """Start the servers that are not running and wait until they are ready; return each address by the server's label.

    A server that the user has configured (``PREFECT_API_URL``, ``MLFLOW_TRACKING_URI``) is not started.

    Raises:
        UserError: if a server exits or does not answer; the message contains the end of its log.
    """
    _warn_of_folder(environment.work_folder)
    addresses = _configured_addresses(environment)
    own = [server for server in servers(environment) if server.label not in addresses]
    with _start_stop_lock(environment.work_folder):
        with suppress(sqlite3.Error):  # the next tracked stage tries again
            relocate_store(environment)
        started = [(server, server.running() or server.launch()) for server in own]
        for server, running in started:
            addresses[server.label] = server.wait_until_ready(running).url
    return addresses


def down(environment: Environment) -> list[str]:
    """Stop the servers that :func:`up` started, and nothing else; return their labels."""
    with _start_stop_lock(environment.work_folder):
        return [server.label for server in servers(environment) if server.stop()]


def servers(environment: Environment) -> tuple[ServerProcess, ServerProcess]:
    """The project's two servers."""
    return _mlflow(environment), _prefect(environment)


def _mlflow(environment: Environment) -> ServerProcess:
    def command(port: int) -> list[str]:
        return [
            *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"),
            *("--backend-store-uri", environment.mlflow_store_uri),
            # A folder, not an address of the server: runs that are logged without a server use it, too.
            *("--default-artifact-root", environment.mlflow_artifacts_uri),
            *("--artifacts-destination", environment.mlflow_artifacts_uri),
            *("--uvicorn-opts", "--http flows.runtime.same_origin:TrackingServerProtocol --ws none"),
        ]

    return ServerProcess(
        name="mlflow",
        label="MLflow",
        preferred_port=environment.mlflow_port,
        health_path="/health",
        command=command,
        environment=lambda _: {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # eight unused processes
        data_folder=environment.mlflow_folder,
        record=environment.server_record("mlflow"),
        log=environment.server_record("mlflow").with_suffix(".log"),
    )


def _prefect(environment: Environment) -> ServerProcess:
    data_folder = environment.work_folder / "prefect"

    def command(port: int) -> list[str]:
        # Like `prefect server start`, which has no option to check the origin of requests.
        return [
            *(sys.executable, "-m", "uvicorn", "--factory", "flows.runtime.prefect_app:create_app"),
            *("--host", HOST, "--port", str(port), "--timeout-keep-alive", "5"),
        ]

    return ServerProcess(
        name="prefect",
        label="Prefect",
        preferred_port=environment.prefect_port,
        health_path="/api/health",
        command=command,
        environment=lambda port: {
            "PREFECT_HOME": str(data_folder),
            "PREFECT_API_URL": f"http://{HOST}:{port}/api",
        },
        data_folder=data_folder,
        record=environment.server_record("prefect"),
        log=environment.server_record("prefect").with_suffix(".log"),
    )


def _configured_addresses(environment: Environment) -> dict[str, str]:
    urls = {"MLflow": environment.configured_mlflow_tracking_uri, "Prefect": environment.configured_prefect_api_url}
    return {label: url for label, url in urls.items() if url}


@contextmanager
def _start_stop_lock(work_folder: Path) -> Iterator[None]:
    """One start or stop at a time: two commands must not start the same server twice."""
    folder = work_folder / "servers"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _warn_of_folder(work_folder: Path) -> None:
    if escape := ESCAPE.search(str(work_folder)):
        logger.warning(
            "the path %s contains %s, which MLflow decodes to another character, so it cannot load models from there: "
            "rename the folder, or set LMCORE_WORK_FOLDER to another one",
            work_folder,
            escape[0],
        )


def _pages(environment: Environment, addresses: dict[str, str]) -> dict[str, str]:
    """The address of each server's page."""
    pages = {label: url.removesuffix("/api") for label, url in addresses.items()}
    return pages | {"MLflow": _tracking_page(environment) or pages["MLflow"]}


def _tracking_page(environment: Environment) -> str | None:
    """The table of runs, or before the first run the list of experiments; not MLflow's start page."""
    page = experiment_page(environment)
    return f"{page}{EXPERIMENTS}" if page and "#" not in page else page


def _show_status(environment: Environment) -> None:
    configured = _configured_addresses(environment)
    for server in servers(environment):
        url = configured.get(server.label)
        logger.info("%-8s %s", server.label, f"configured: {url}" if url else server.describe())
        if server.label == "MLflow" and (page := _tracking_page(environment)):
            logger.info("%-8s %s", "", page)


def _show_addresses(addresses: dict[str, str]) -> None:
    for label, url in addresses.items():
        logger.info("%-8s %s", label, url)


def _run_action(action: str, environment: Environment) -> None:
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
            logger.info("Stopped: %s", ", ".join(down(environment)) or "nothing; no server was running")
        case "status":
            _show_status(environment)


def _has_display() -> bool:
    """Whether there is a display for a browser; without one, ``webbrowser`` may open a browser in the terminal."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.runtime.servers",
        description="Start, stop and show the project's MLflow and Prefect servers.",
    )
    parser.add_argument("action", choices=("up", "down", "status", "ui"))
    action = parser.parse_args().action
    run_command(f"servers {action}", lambda: _run_action(action, Environment()))


if __name__ == "__main__":
    main()
