"""Keeps libraries' files in the work folder and their telemetry off, for every Python of the project's ``.venv``.

``flows/runtime/installation.py`` has the interpreter call :func:`set_defaults` when it starts, so that ``mlflow``,
``prefect``, ``dvc`` and a notebook find this folder's servers and write nothing outside of it, in any shell. Only the
standard library is imported, and little of that: every start pays for it.
"""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

PLACE = "place.txt"
RELOCATING = "LMCORE_RELOCATING"
DEFAULTS = "LMCORE_LIBRARY_DEFAULTS"
"""The variable that holds what :func:`set_defaults` has set, and not the user."""


def library_settings(work_folder: Path) -> dict[str, str]:
    """Environment variables that keep the libraries' own files in the work folder, and their telemetry off."""

    def inside(name: str) -> str:
        return str(work_folder / name)

    return {
        "DO_NOT_TRACK": "true",
        "DVC_NO_ANALYTICS": "true",
        "DVC_SITE_CACHE_DIR": inside("dvc"),
        "HF_HOME": inside("hugging-face"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MPLCONFIGDIR": inside("matplotlib"),
        "CUDA_CACHE_PATH": inside("cuda"),
        "TORCHINDUCTOR_CACHE_DIR": inside("torch-inductor"),
        "TORCH_HOME": inside("torch"),
        "TRITON_CACHE_DIR": inside("triton"),
        "XDG_CACHE_HOME": inside("cache"),
        "PREFECT_HOME": inside("prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",  # starting one costs ten seconds
    }


def store_uri(work_folder: Path) -> str:
    """The SQLite file that the project's MLflow server and whatever runs without a server share."""
    return f"sqlite:///{work_folder / 'mlflow' / 'mlflow.db'}"


def set_defaults() -> None:
    """Set the variables that the user has not set, and the addresses of the servers that run now."""
    work_folder = _work_folder()
    mlflow, prefect = _address(work_folder, "mlflow"), _address(work_folder, "prefect")
    settings = library_settings(work_folder) | {"MLFLOW_TRACKING_URI": mlflow or store_uri(work_folder)}
    if prefect:
        settings["PREFECT_API_URL"] = f"{prefect}/api"
    withdraw_defaults()  # those that a process before this one has handed on: a server may have started since
    missing = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(missing)
    os.environ[DEFAULTS] = json.dumps(missing)
    reach_loopback_directly()
    _follow_moved_store(work_folder)


def remember_store(store: Path) -> None:
    """Note where a tracking store is, so that the next Python finds out whether it was moved or copied."""
    (store / PLACE).write_text(str(store.resolve()), encoding="utf-8")


def _follow_moved_store(work_folder: Path) -> None:
    """Correct the addresses in a tracking store that was moved or copied, before any command of MLflow reads it:
    in a copy, they lead to the files of the original."""
    store = work_folder / "mlflow"
    if RELOCATING in os.environ or not (store / "mlflow.db").exists():
        return
    with suppress(OSError):
        if (store / PLACE).read_text(encoding="utf-8") == str(store.resolve()):
            return
    import subprocess  # milliseconds that only a moved folder pays for

    variables = {**os.environ, RELOCATING: "1", "LMCORE_WORK_FOLDER": str(work_folder)}
    command = [sys.executable, "-m", "tasks.tracking.client"]
    subprocess.run(command, cwd=_project(), env=variables, check=False)


def withdraw_defaults() -> None:
    """Leave only what the user has set: a process of the project's own decides for itself."""
    for name, value in json.loads(os.environ.pop(DEFAULTS, "{}")).items():
        if os.environ.get(name) == value:
            del os.environ[name]


def reach_loopback_directly() -> None:
    """Keep a configured proxy out of the way of the servers on this machine."""
    names = [name for name in (os.environ.get("NO_PROXY") or os.environ.get("no_proxy", "")).split(",") if name]
    hosts = ",".join(dict.fromkeys([*names, "127.0.0.1", "localhost"]))
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = hosts


def _work_folder() -> Path:
    """As ``tasks/context/environment.py`` has it; outside of any project that of the project whose Python this is."""
    chosen = os.environ.get("LMCORE_WORK_FOLDER")
    return Path(chosen).absolute() if chosen else _project() / ".work"


def _project() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if folder.parts[-4:-1] == (".dvc", "tmp", "exps"):  # a copy of the project that DVC runs an experiment in
            return folder.parents[3]
        is_copy = ".dvc" in folder.parts
        if not is_copy and (folder / "tasks" / "context" / "library_settings.py").exists():
            return folder
    return Path(sys.prefix).parent


def _address(work_folder: Path, name: str) -> str | None:
    """The address of a server whose process is there; ``tasks/context/server_record.py`` looks more closely."""
    servers = work_folder / "servers"
    try:
        record = json.loads((servers / f"{name}.json").read_text(encoding="utf-8"))
        if record["host"] != os.uname().nodename or record["folder"] != str(servers.resolve()):
            return None
        os.kill(int(record["pid"]), 0)
        return str(record["url"])
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
