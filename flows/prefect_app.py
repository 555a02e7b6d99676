"""Prefect's server with what it lacks: a look at where a request comes from, and at what it asks to be run.

Run by ``flows/servers.py``: ``uvicorn --factory flows.prefect_app:create_app``.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from flows.own_runs import OwnRunsOnly
from flows.same_origin import SameOriginOnly

if TYPE_CHECKING:
    from starlette.types import ASGIApp

PROJECT = Path(__file__).resolve().parents[1]


def create_app() -> "ASGIApp":
    """The application that ``prefect server start`` runs, its background services included, behind both."""
    from prefect.server.api.server import create_app as create_prefect_app

    app = OwnRunsOnly(create_prefect_app(final=True), PROJECT)
    return SameOriginOnly(app, is_page=lambda path: not path.startswith("/api"))
