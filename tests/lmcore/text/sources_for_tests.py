"""Sources as a test names them: the parts of ``params.yaml`` that matter to it."""

import json
from pathlib import Path
from typing import Any

from lmcore.config.collect import CollectConfig

RECORDS = {
    "kind": "records",
    "text": "text",
    "label": None,
    "target": None,
    "name": None,
    "columns": None,
    "rows": None,
    "format": None,
    "delimiter": None,
    "quoting": "auto",
    "encoding": None,
}
DOCUMENTATION = {
    "name": "docs",
    "location": {"kind": "installed_packages", "packages": ["rich", "ftfy"], "skipped": ["tests"]},
    "reader": {"kind": "docstrings"},
    "split": None,
    "weight": 1.0,
    "license": None,
    "attribution": None,
}


def local(name: str, path: Path | str, reader: dict[str, Any]) -> dict[str, Any]:
    """A source of files of this machine."""
    location = {"kind": "local", "paths": [str(path)]}
    return DOCUMENTATION | {"name": name, "location": location, "reader": reader}


def configure(*sources: dict[str, Any], strict: bool = False) -> CollectConfig:
    """The section ``collect`` with these sources."""
    limits = {"max_document_bytes": 1_000_000, "max_unpacked_bytes": 10_000_000}
    return CollectConfig.model_validate_json(json.dumps({"sources": sources, "limits": limits, "strict": strict}))
