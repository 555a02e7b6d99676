"""Prefect's server with checks of a request's origin and of what it asks to run.

Run by ``flows/runtime/servers.py``: ``uvicorn --factory flows.runtime.prefect_app:create_app``.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from flows.runtime.own_runs import OwnRunsOnly
from flows.runtime.same_origin import SameOriginOnly

if TYPE_CHECKING:
    from starlette.types import ASGIApp

PROJECT = Path(__file__).resolve().parents[2]


def create_app() -> "ASGIApp":
    """The application that ``prefect server start`` runs, including background services, wrapped in both checks."""
    from prefect.server.api.server import create_app as create_prefect_app

    app = OwnRunsOnly(create_prefect_app(final=True), PROJECT)
    return SameOriginOnly(app, is_page=lambda path: not path.startswith("/api"))
