"""Verifies a model folder before it is used and before memory is allocated for the model.

``SHA256SUMS`` in the folder has a line per file, in the format of ``sha256sum``.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open

from lmcore.config.base import Config
from lmcore.errors import UserError
from lmcore.models.model import Model
from lmcore.runtime.files import file_digest, write_text

AnyModel = TypeVar("AnyModel", bound=Model)

SUMS = "SHA256SUMS"
SUM_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def write_sums(folder: Path) -> None:
    """Write the checksums of all files in a folder."""
    files = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    write_text(folder / SUMS, "".join(f"{file_digest(folder / name)}  {name}\n" for name in files))


def verify(folder: Path, *names: str) -> None:
    """Check files of a model folder against its checksums.

    Raises:
        FileNotFoundError: a file or the checksums are missing.
        UserError: a file does not match its checksum.
    """
    path = folder / SUMS
    if not path.exists():
        raise FileNotFoundError(
            f"{folder} has no {SUMS}, so its files cannot be verified: train the model again or, if you trust them, "
            f"create {SUMS} with `sha256sum *.json *.safetensors > {SUMS}` in that folder"
        )
    lines = (SUM_LINE.fullmatch(line) for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    expected = {line[2]: line[1] for line in lines if line}
    for name in names:
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder / name} is missing: restore it, or train the model again")
        if file_digest(folder / name) != expected.get(name):
            raise UserError(
                f"{folder / name} was damaged or altered (its checksum differs from that in {SUMS}): "
                "restore it, or train the model again"
            )


def load_weights(make: Callable[[], AnyModel], config: Config, path: Path) -> AnyModel:
    """The model that ``make`` builds, with the weights in ``path``, in evaluation mode.

    The model is built only after the file's header has shown that the weights match the configuration, so that a wrong
    configuration cannot exhaust the machine's memory.

    Args:
        make: builds the model from its configuration.
        config: the model's configuration.
        path: a safetensors file.

    Raises:
        UserError: the file is corrupt, does not match the configuration, or has weights that are not finite.
    """
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}): restore it, or train the model again") from None
    _check_layers(config, len(found), path)
    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in make().state_dict().items()}
    if expected:  # Counted models have no parameters.
        _check_shapes(found, expected, path)
    model = make()
    model.load_weights(path)
    for name, tensor in model.state_dict().items():
        if not tensor.isfinite().all():
            raise UserError(f"{path} has values that are not finite in {name}: train the model again")
    return model.eval()


def _check_layers(config: Config, n_tensors: int, path: Path) -> None:
    for name, value in config:
        if name.endswith("layers") and value > n_tensors:
            raise UserError(f"{path} does not fit its config.json: {n_tensors} tensors are too few for {name} {value}")


def _check_shapes(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], path: Path) -> None:
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            shapes = [str(list(shapes[name])) if name in shapes else "missing" for shapes in (found, expected)]
            raise UserError(f"{path} does not fit its config.json: {name} is {shapes[0]}, not {shapes[1]}")
