"""The project's Prefect server: checks where a request comes from and what it would run.

Requests may start the project's own flows, but not set how they run: Prefect lets a request choose a run's command,
environment and folder (job variables), the file of its flow, and steps before it, and a worker would do all that with
the rights of the user who started it.

Run by ``flows/runtime/servers.py``: ``uvicorn --factory flows.runtime.prefect_app:create_app``.
"""

import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.runtime.same_origin import SameOriginOnly, reject

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PROJECT = Path(__file__).resolve().parents[2]
HARMLESS_VARIABLES = {"labels", "name", "stream_output"}
COMMANDS = ("command", "env", "working_dir")
OWN_FLOWS = ("flows.pipeline.pipeline",)  # a worker would run any function that is named here
DEPLOYMENTS = "/api/deployments"
STEP_INTO_FOLDER = "prefect.deployments.steps.set_working_directory"
STORED_ELSEWHERE = ("infrastructure_document_id", "storage_document_id")


def create_app() -> "ASGIApp":
    """The application of ``prefect server start``, including its background services, protected by both checks."""
    from prefect.server.api.server import create_app as create_prefect_app

    app = OwnRunsOnly(create_prefect_app(final=True), PROJECT)
    return SameOriginOnly(app, is_page=lambda path: not path.startswith("/api"))


class OwnRunsOnly:
    """Rejects a request that would make a worker run anything but the project's flows with status 403.

    Args:
        app: Prefect's application.
        project: the project's folder, which holds the flows.
    """

    def __init__(self, app: "ASGIApp", project: Path) -> None:
        self._app = app
        self._project = project

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Reject a request, or pass it on."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS", "DELETE"):
            return await self._app(scope, receive, send)
        messages = [message async for message in _all_of(receive)]
        body = b"".join(message.get("body", b"") for message in messages)
        if (reason := next(self._rejections(scope["path"], body), None)) is not None:
            return await reject(scope, send, reason)

        async def receive_again() -> "Message":
            return messages.pop(0) if messages else await receive()

        return await self._app(scope, receive_again, send)

    def _rejections(self, path: str, body: bytes) -> Iterator[str]:
        """The reasons to reject a request; none if it is accepted."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return  # Prefect cannot read it, either
        for part in _objects_in(value):
            yield from _rejected_variables(part.get("job_variables"))
            yield from _rejected_template(part.get("base_job_template"))
            storage = part.get("storage_configuration")
            if any(storage.values()) if isinstance(storage, dict) else storage:
                yield f"storage_configuration is not accepted: the flows are in {self._project}"
            if path.startswith(DEPLOYMENTS):
                yield from self._rejected_source(part)

    def _rejected_source(self, part: dict[str, Any]) -> Iterator[str]:
        """The reasons to reject the source of a deployment's flow."""
        entrypoint = part.get("entrypoint")
        if entrypoint and entrypoint not in OWN_FLOWS:
            yield f"entrypoint {entrypoint!r} is not a flow of this project; the flows are {', '.join(OWN_FLOWS)}"
        yield from self._rejected_folder("path", part.get("path"))
        for step in _list_of(part.get("pull_steps")):
            arguments = step.get(STEP_INTO_FOLDER) if isinstance(step, dict) and len(step) == 1 else None
            if not isinstance(arguments, dict) or arguments.keys() != {"directory"}:
                yield f"pull step {step!r} is not {STEP_INTO_FOLDER}"
            else:
                yield from self._rejected_folder("pull step", arguments["directory"])
        for name in STORED_ELSEWHERE:
            if part.get(name):
                yield f"{name} is not accepted: the flows are in {self._project}"

    def _rejected_folder(self, name: str, folder: object) -> Iterator[str]:
        if folder in (None, "", "."):
            return
        if not (isinstance(folder, str) and os.path.realpath(folder) == str(self._project)):
            yield f"{name} {folder!r} is not the folder of this project, {self._project}"


def _list_of(value: object) -> list[object]:
    """A list as it is, any other value as a list of one element, and no value as an empty list."""
    return value if isinstance(value, list) else [value] if value else []


def _rejected_variables(variables: object) -> Iterator[str]:
    if variables and not (isinstance(variables, dict) and variables.keys() <= HARMLESS_VARIABLES):
        yield f"job_variables are not accepted, except {', '.join(sorted(HARMLESS_VARIABLES))}"


def _rejected_template(template: object) -> Iterator[str]:
    """A template may declare a field for a command, but not set it."""
    if not isinstance(template, dict):
        return
    job, variables = template.get("job_configuration"), template.get("variables")
    properties = variables.get("properties") if isinstance(variables, dict) else None
    for name in COMMANDS:
        value = job.get(name) if isinstance(job, dict) else None
        preset = properties.get(name) if isinstance(properties, dict) else None
        default = preset.get("default") if isinstance(preset, dict) else None
        if (value and value != f"{{{{ {name} }}}}") or default:
            yield f"base_job_template sets {name!r}, which a worker would run: remove it"


def _objects_in(value: object) -> Iterator[dict[str, Any]]:
    """The JSON objects in a request, without those in a flow's parameters, which are only data."""
    if isinstance(value, dict):
        yield value
        for name, inner in value.items():
            if name not in ("parameters", "job_variables", "base_job_template"):
                yield from _objects_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects_in(inner)


async def _all_of(receive: "Receive") -> "AsyncIterator[Message]":
    more = True
    while more:
        message = await receive()
        more = message["type"] == "http.request" and message.get("more_body", False)
        yield message
