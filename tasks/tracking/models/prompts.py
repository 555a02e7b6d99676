"""Registers prompt templates in MLflow's prompt registry, a version per content, and links them to runs."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.tracking.store.client import Store

LINKS = "mlflow.linkedPrompts"
"""The tag of a run by which MLflow shows its prompts."""
DIGEST = "template.digest"
"""The tag with the SHA-256 of a version's template."""


def link_prompts(store: Store, run_id: str, templates: Mapping[str, str]) -> None:
    """Link a run to its prompts, and register those that the registry does not have; does nothing the second time.

    MLflow's own function for links writes to the store of the process, which is not always this one.

    Args:
        store: the tracking store.
        run_id: the run that used the prompts.
        templates: each template by its name.
    """
    if not templates:
        return
    linked = json.loads(store.client.get_run(run_id).data.tags.get(LINKS, "[]"))
    versions = [_version_of(store, registered_name(name), template) for name, template in templates.items()]
    new = [link for version in versions if (link := {"name": version[0], "version": version[1]}) not in linked]
    if new:
        store.client.set_tag(run_id, LINKS, json.dumps([*linked, *new]))


def registered_name(name: str) -> str:
    """A prompt's name in the registry, which it shares with models: only with the characters that are allowed."""
    return "prompt-" + re.sub(r"[^A-Za-z0-9_.-]", "-", name)


def completion_prompt(parameters: Mapping[str, Any], template: str) -> dict[str, str]:
    """The template of a completion model, named after its file in the parameters of the training."""
    path = parameters.get("prompt")
    return {Path(path).stem if isinstance(path, str) else "completion": template}


def _version_of(store: Store, name: str, template: str) -> tuple[str, str]:
    """The name and the version of a prompt with this template, registered if there is none."""
    digest = hashlib.sha256(template.encode()).hexdigest()
    if store.client.get_prompt(name) is not None:
        for version in store.client.search_prompt_versions(name):
            if version.tags.get(DIGEST) == digest:
                return name, str(version.version)
    return name, str(store.client.register_prompt(name, template, tags={DIGEST: digest}).version)
