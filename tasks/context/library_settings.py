"""Keeps libraries' files in the work folder and their telemetry off, for every Python of the project's ``.venv``.

After ``flows/runtime/installation.py`` the interpreter calls :func:`set_defaults` when it starts, so that ``mlflow``,
``prefect``, ``dvc`` and notebooks find this folder's servers and write nothing outside of it, in any shell. Only a
little of the standard library is imported, because this costs time at every start.
"""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

LOCATION = "place.txt"
RELOCATING = "LMCORE_RELOCATING"
DEFAULTS = "LMCORE_LIBRARY_DEFAULTS"
"""The variable that lists what :func:`set_defaults` has set, as opposed to the user."""


def library_settings(work_folder: Path) -> dict[str, str]:
    """Environment variables that keep the libraries' own files in the work folder and turn their telemetry off."""

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
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",  # starting one takes ten seconds
    }


def store_uri(work_folder: Path) -> str:
    """The SQLite file that is shared by the project's MLflow server and runs without a server."""
    return f"sqlite:///{work_folder / 'mlflow' / 'mlflow.db'}"


def set_defaults() -> None:
    """Set the variables that the user has not set, and the addresses of the running servers."""
    work_folder = _work_folder()
    mlflow, prefect = _address(work_folder, "mlflow"), _address(work_folder, "prefect")
    settings = library_settings(work_folder) | {"MLFLOW_TRACKING_URI": mlflow or store_uri(work_folder)}
    if prefect:
        settings["PREFECT_API_URL"] = f"{prefect}/api"
    withdraw_defaults()  # inherited defaults: a server may have started since
    missing = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(missing)
    os.environ[DEFAULTS] = json.dumps(missing)
    reach_loopback_directly()
    _follow_moved_store(work_folder)


def remember_store(store: Path) -> None:
    """Record the location of a tracking store, so that the next Python can tell whether it was moved or copied."""
    (store / LOCATION).write_text(str(store.resolve()), encoding="utf-8")


def _follow_moved_store(work_folder: Path) -> None:
    """Correct the addresses in a tracking store that was moved or copied, before an MLflow command reads them.

    In a copy, they point to the files of the original.
    """
    store = work_folder / "mlflow"
    if RELOCATING in os.environ or not (store / "mlflow.db").exists():
        return
    with suppress(OSError):
        if (store / LOCATION).read_text(encoding="utf-8") == str(store.resolve()):
            return
    import subprocess  # imported here to save time unless the folder was moved

    variables = {**os.environ, RELOCATING: "1", "LMCORE_WORK_FOLDER": str(work_folder)}
    # Its package imports the module as well, which Python would warn about.
    command = [sys.executable, "-W", "ignore::RuntimeWarning:runpy", "-m", "tasks.tracking.store.relocation"]
    subprocess.run(command, cwd=_project(), env=variables, check=False)


def withdraw_defaults() -> None:
    """Remove what :func:`set_defaults` has set: the project's own processes decide for themselves."""
    for name, value in json.loads(os.environ.pop(DEFAULTS, "{}")).items():
        if os.environ.get(name) == value:
            del os.environ[name]


def reach_loopback_directly() -> None:
    """Exempt the servers on this machine from a configured proxy."""
    names = [name for name in (os.environ.get("NO_PROXY") or os.environ.get("no_proxy", "")).split(",") if name]
    hosts = ",".join(dict.fromkeys([*names, "127.0.0.1", "localhost"]))
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = hosts


def _work_folder() -> Path:
    """The work folder of ``tasks/context/environment.py``; outside any project, that of the project of this Python."""
    chosen = os.environ.get("LMCORE_WORK_FOLDER")
    return Path(chosen).absolute() if chosen else _project() / ".work"


def _project() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if folder.parts[-4:-1] == (".dvc", "tmp", "exps"):  # a copy of the project in which DVC runs an experiment
            return folder.parents[3]
        is_copy = ".dvc" in folder.parts
        if not is_copy and (folder / "tasks" / "context" / "library_settings.py").exists():
            return folder
    return Path(sys.prefix).parent


def _address(work_folder: Path, name: str) -> str | None:
    """The address of a server whose process id exists; ``tasks/context/server_record.py`` checks more."""
    servers = work_folder / "servers"
    try:
        record = json.loads((servers / f"{name}.json").read_text(encoding="utf-8"))
        if record["host"] != os.uname().nodename or record["folder"] != str(servers.resolve()):
            return None
        os.kill(int(record["pid"]), 0)
        return str(record["url"])
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
