"""Models that have learnt a little, for what depends on the text that a model writes: drafts, and 8-bit weights.

They train for one or two minutes on docstrings of the standard library and of numpy, and are kept in ``.work``.
"""

import ast
import dataclasses
import sysconfig
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file

from benchmarks.models import OurTraining
from lmcore.config.models import NgramConfig
from lmcore.config.tokenize import BytePairConfig
from lmcore.models.device import native_bfloat16, pick_device
from lmcore.models.gpt.model import GPT
from lmcore.models.gpt2.model import GPT2
from lmcore.models.ngram.model import NgramModel
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.training import train_tokenizer

FOLDER = Path(__file__).parents[1] / ".work/benchmarks"
N_STEPS, BATCH, LENGTH = 200, 16, 256
WARMUP_STEPS = 10
N_HELD_OUT = 60
MIN_CHARACTERS = 80
Model = GPT | GPT2


def trained(name: str, make: Callable[..., Model], shape: dict[str, int]) -> Model:
    """A model of this project, trained on docstrings; it never ends a text, so that all answers are equally long."""
    model, path = make(**(shape | {"vocabulary_size": tokenizer().vocabulary.size})), FOLDER / f"{name}.safetensors"
    if not path.exists():
        _train(model)
        FOLDER.mkdir(parents=True, exist_ok=True)
        save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    model.load_state_dict(load_file(path))
    model.vocabulary = dataclasses.replace(model.vocabulary, end_of_text_id=model.vocabulary.mask_id)
    return model.eval()


@cache
def assistant() -> NgramModel:
    """An n-gram model of the texts that the models have seen."""
    model = NgramModel(NgramConfig(family="ngram", order=5), tokenizer().vocabulary)
    stream = _stream()
    ends = np.flatnonzero(stream == tokenizer().vocabulary.end_of_text_id) + 1
    model.fit(stream, np.concatenate(([0], ends)))
    return model


def held_out() -> list[str]:
    """Texts that the models have not seen."""
    return _texts()[:N_HELD_OUT]


@cache
def tokenizer() -> Tokenizer:
    """The tokenizer of the trained models."""
    return train_tokenizer(_texts()[N_HELD_OUT:], BytePairConfig(kind="byte_pair", vocabulary_size=8192))


def _train(model: Model) -> None:
    stream, generator = _stream(), np.random.default_rng(0)
    training = OurTraining(model, torch.bfloat16 if native_bfloat16(pick_device()) else torch.float32)
    for step in range(N_STEPS):
        starts = generator.integers(len(stream) - LENGTH, size=BATCH)
        windows = torch.from_numpy(np.stack([stream[start : start + LENGTH + 1] for start in starts]))
        factor = min((step + 1) / WARMUP_STEPS, 2 * (N_STEPS - step) / N_STEPS, 1.0)
        training.step(windows[:, :-1].contiguous(), windows[:, 1:].contiguous(), factor=factor)
    model.compute_in(torch.float32)


def _stream() -> npt.NDArray[np.int64]:
    end = tokenizer().vocabulary.end_of_text_id
    return np.array([token for text in _texts()[N_HELD_OUT:] for token in (*tokenizer().encode(text), end)])


@cache
def _texts() -> list[str]:
    found = sorted({text for path in _sources() for text in _docstrings(path)})
    np.random.default_rng(0).shuffle(found)
    return found


def _sources() -> Iterator[Path]:
    standard_library = Path(sysconfig.get_path("stdlib"))
    for folder in (standard_library, Path(np.__file__).parent):
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).parts
            if not {"site-packages", "test", "tests"} & {*parts}:
                yield path


def _docstrings(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node)
            if text and len(text) >= MIN_CHARACTERS:
                yield text
