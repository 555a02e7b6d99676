"""The text and code of Jupyter notebooks, cell by cell, without outputs.

Source: https://nbformat.readthedocs.io/en/latest/format_description.html
"""

import json
from typing import Any

from lmcore.text.documents.document import InputError


def notebook_text(content: bytes) -> str:
    """Extract the cells of a notebook, separated by blank lines.

    Raises:
        InputError: ``malformed_json``, or ``damaged_file`` if it is not a notebook.
    """
    try:
        notebook = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError("malformed_json", f"it is not a notebook: {error}") from error
    cells = _cells(notebook)
    if cells is None:
        raise InputError("damaged_file", "it is not a notebook: it has no cells")
    return "\n\n".join(filter(None, (_source(cell).strip("\n") for cell in cells)))


def _cells(notebook: Any) -> list[Any] | None:
    """The cells; up to version 3 of the format they are in worksheets."""
    match notebook:
        case {"cells": [*cells]}:
            return cells
        case {"worksheets": [*sheets]}:
            return [cell for sheet in sheets for cell in _cells(sheet) or []]
    return None


def _source(cell: Any) -> str:
    match cell:
        case {"source": str(source)} | {"input": str(source)}:
            return source
        case {"source": [*lines]} | {"input": [*lines]}:
            return "".join(line for line in lines if isinstance(line, str))
    return ""
