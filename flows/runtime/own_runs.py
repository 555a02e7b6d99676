"""Restricts the Prefect server: requests may start the project's own flows, but not set how they run.

Prefect lets a request choose a run's command, environment and folder (job variables), the file that holds its flow, and
steps before it. A worker would do all of that with the rights of whoever started it.
"""

import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.runtime.same_origin import refuse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HARMLESS_VARIABLES = {"labels", "name", "stream_output"}
COMMANDS = ("command", "env", "working_dir")
OWN_FLOWS = ("flows.pipeline.pipeline",)  # no other function: a worker makes a flow of whatever is named here
DEPLOYMENTS = "/api/deployments"
STEP_INTO_FOLDER = "prefect.deployments.steps.set_working_directory"
STORED_ELSEWHERE = ("infrastructure_document_id", "storage_document_id")


class OwnRunsOnly:
    """Answers a request that would make a worker run something else than the project's flows with 403.

    Args:
        app: Prefect's application.
        project: the folder that the flows are in.
    """

    def __init__(self, app: "ASGIApp", project: Path) -> None:
        self._app = app
        self._project = project

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS", "DELETE"):
            return await self._app(scope, receive, send)
        messages = [message async for message in _all_of(receive)]
        body = b"".join(message.get("body", b"") for message in messages)
        if (reason := next(self._refusals(scope["path"], body), None)) is not None:
            return await refuse(scope, send, reason)

        async def receive_again() -> "Message":
            return messages.pop(0) if messages else await receive()

        return await self._app(scope, receive_again, send)

    def _refusals(self, path: str, body: bytes) -> Iterator[str]:
        """Why a request is rejected; no reason if it is accepted."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return  # Prefect finds no more in it
        for part in _parts(value):
            yield from _variables_refused(part.get("job_variables"))
            yield from _template_refused(part.get("base_job_template"))
            storage = part.get("storage_configuration")
            if any(storage.values()) if isinstance(storage, dict) else storage:
                yield f"storage_configuration is not accepted: the flows are in {self._project}"
            if path.startswith(DEPLOYMENTS):
                yield from self._source_refused(part)

    def _source_refused(self, part: dict[str, Any]) -> Iterator[str]:
        """What is wrong with where a deployment takes its flow from."""
        entrypoint = part.get("entrypoint")
        if entrypoint and entrypoint not in OWN_FLOWS:
            yield f"entrypoint {entrypoint!r} is not a flow of this project; the flows are {', '.join(OWN_FLOWS)}"
        yield from self._folder_refused("path", part.get("path"))
        for step in _list_of(part.get("pull_steps")):
            arguments = step.get(STEP_INTO_FOLDER) if isinstance(step, dict) and len(step) == 1 else None
            if not isinstance(arguments, dict) or arguments.keys() != {"directory"}:
                yield f"pull step {step!r} is not {STEP_INTO_FOLDER}"
            else:
                yield from self._folder_refused("pull step", arguments["directory"])
        for name in STORED_ELSEWHERE:
            if part.get(name):
                yield f"{name} is not accepted: the flows are in {self._project}"

    def _folder_refused(self, name: str, folder: object) -> Iterator[str]:
        if folder in (None, "", "."):
            return
        if not (isinstance(folder, str) and os.path.realpath(folder) == str(self._project)):
            yield f"{name} {folder!r} is not the folder of this project, {self._project}"


def _list_of(value: object) -> list[object]:
    """The elements of a list; anything else that is there counts as one."""
    return value if isinstance(value, list) else [value] if value else []


def _variables_refused(variables: object) -> Iterator[str]:
    if variables and not (isinstance(variables, dict) and variables.keys() <= HARMLESS_VARIABLES):
        yield f"job_variables are not accepted, except {', '.join(sorted(HARMLESS_VARIABLES))}"


def _template_refused(template: object) -> Iterator[str]:
    """A template may declare a field for a command but not fill it."""
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


def _parts(value: object) -> Iterator[dict[str, Any]]:
    """The objects in a request, but not in the parameters of a flow, which are only data."""
    if isinstance(value, dict):
        yield value
        for name, inner in value.items():
            if name not in ("parameters", "job_variables", "base_job_template"):
                yield from _parts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _parts(inner)


async def _all_of(receive: "Receive") -> "AsyncIterator[Message]":
    more = True
    while more:
        message = await receive()
        more = message["type"] == "http.request" and message.get("more_body", False)
        yield message
