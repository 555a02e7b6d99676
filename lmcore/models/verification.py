"""Verifies a model folder before any of it is used or memory is allocated for it.

``SHA256SUMS`` in the folder has a line per file, as ``sha256sum`` writes and checks them.
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
        FileNotFoundError: if a file is missing, or the checksums are.
        ValueError: naming the file that is not as it was written.
    """
    path = folder / SUMS
    if not path.exists():
        raise FileNotFoundError(
            f"{folder} has no {SUMS}, so its files cannot be verified: train the model again or, if you trust them, "
            f"write it with `sha256sum *.json *.safetensors > {SUMS}` in that folder"
        )
    lines = (SUM_LINE.fullmatch(line) for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    expected = {line[2]: line[1] for line in lines if line}
    for name in names:
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder / name} is missing: restore it, or train the model again")
        if file_digest(folder / name) != expected.get(name):
            raise UserError(
                f"{folder / name} was damaged or altered (its checksum differs from the one in {SUMS}); "
                "restore it, or train the model again"
            )


def load_weights(make: Callable[[], AnyModel], config: Config, path: Path) -> AnyModel:
    """The model that ``make`` makes, with the weights in ``path``, in evaluation mode.

    It is made only once it is known, from the file's header, that its sizes are those of the weights: a configuration
    that asks for more must not take the machine's memory.

    Args:
        make: builds the model as its configuration says.
        config: of it.
        path: of a safetensors file.

    Raises:
        ValueError: naming the file, if it is damaged, does not fit the configuration or holds numbers that are none.
    """
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}): restore it, or train the model again") from None
    _check_layers(config, len(found), path)
    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in make().state_dict().items()}
    if expected:  # Counts have no sizes of their own.
        _check_shapes(found, expected, path)
    model = make()
    model.load_weights(path)
    for name, tensor in model.state_dict().items():
        if not tensor.isfinite().all():
            raise UserError(f"{path} holds numbers that are not finite in {name}: train the model again")
    return model.eval()


def _check_layers(config: Config, n_tensors: int, path: Path) -> None:
    for name, value in config:
        if name.endswith("layers") and value > n_tensors:
            raise UserError(f"{path} does not fit config.json beside it: {n_tensors} tensors are no {value} {name}")


def _check_shapes(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], path: Path) -> None:
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            shapes = [str(list(shapes[name])) if name in shapes else "missing" for shapes in (found, expected)]
            raise UserError(f"{path} does not fit config.json beside it: {name} is {shapes[0]}, not {shapes[1]}")
