"""Reads the folder of a model that ``transformers`` has saved."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lmcore.config.base import Config
from lmcore.errors import UserError
from lmcore.models.folder import WEIGHTS as OWN_WEIGHTS
from lmcore.models.folder import read_json
from lmcore.models.model import Model

logger = logging.getLogger(__name__)

AnyConfig = TypeVar("AnyConfig", bound=Config)
PartNames = Callable[[str], Sequence[str]]
"""The names of the weights of ``transformers`` that are one weight here, concatenated in their first dimension."""

CONFIG, INDEX, WEIGHTS = "config.json", "model.safetensors.index.json", "model.safetensors"
OWN_SETTINGS = "lmcore"
"""The key of ``config.json`` with settings of training that ``transformers`` does not have."""
# Other names of supported values.
SYNONYMS = {"gelu_pytorch_tanh": "gelu_new"}
# Names of weights that repeat or do not take part in the models here: buffers, tied weights, heads of other tasks.
UNUSED = re.compile(
    r"rotary_emb|position_ids|\.attn\.(masked_)?bias$|pooler|seq_relationship|lm_head|predictions\.decoder|embed_tokens"
    r"|token_type_embeddings|final_logits_bias|embed_positions"
)
# The weights with a row per token.
TOKEN_ROWS = ("embedding.weight", "head.weight", "head.bias")


class HuggingFaceFolder:
    """A folder with ``config.json`` and weights.

    Args:
        path: the folder.
        n_own_tokens: tokens of its tokenizer; those after them were appended here.

    Raises:
        UserError: there is no ``config.json``, or it is not of a model of ``transformers``.
    """

    def __init__(self, path: Path, *, n_own_tokens: int) -> None:
        self.path, self.n_own_tokens = path, n_own_tokens
        self.settings = read_settings(path)
        self.config_path = path / CONFIG

    def get(self, name: str, default: Any = None) -> Any:
        """A setting; ``default`` if it is missing or null."""
        value = self.settings.get(name)
        return default if value is None else value

    def require(self, fixed: Mapping[str, Any]) -> None:
        """Check the settings for which only one value is supported; a missing one has that value.

        Raises:
            UserError: a setting has another value.
        """
        for key, value in fixed.items():
            found = self.settings.get(key, value)
            if value not in (found, SYNONYMS.get(found) if isinstance(found, str) else None):
                raise UserError(f"{self.config_path} has {key} {found!r}; only models with {value!r} can be imported")

    def dropout(self, names: Sequence[str]) -> float:
        """The dropout rate of further training: the first of several rates, where there is only one here."""
        rates = {name: float(self.get(name, 0.1)) for name in names}
        chosen = rates[names[0]]
        if set(rates.values()) != {chosen}:
            shown = ", ".join(f"{name} {rate:g}" for name, rate in rates.items())
            logger.warning("%s has %s; only one dropout rate is supported, %g is used", self.config_path, shown, chosen)
        return chosen

    def config(self, kind: type[AnyConfig], values: Mapping[str, Any]) -> AnyConfig:
        """A configuration of these values.

        Raises:
            UserError: naming the settings whose values are missing or not supported.
        """
        try:
            return kind.model_validate(dict(values))
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc']))} {problem['input']!r}: {problem['msg']}"
                for problem in error.errors()
            )
            raise UserError(f"{self.config_path} describes a model that is not supported: {problems}") from None

    def weights(self) -> dict[str, Tensor]:
        """All weights in float32, by their names in ``transformers``.

        Raises:
            FileNotFoundError: a file is missing.
            UserError: a file is damaged, or has values that are not finite.
        """
        names = [WEIGHTS]
        if not (self.path / WEIGHTS).exists() and (self.path / INDEX).exists():
            listed = read_json(self.path / INDEX).get("weight_map")
            if not isinstance(listed, dict):
                raise UserError(f"{self.path / INDEX} has no weight_map: it is not an index of weights")
            # Only files in the model's folder are read, whatever path the index has.
            names = sorted({Path(str(name)).name for name in listed.values()})
        weights: dict[str, Tensor] = {}
        for name in names:
            weights |= _read_weights(self.path / name)
        return weights

    def load(self, model: Model, weights: Mapping[str, Tensor], part_names: PartNames) -> None:
        """Load ``weights`` into ``model``, and set it to evaluation mode.

        Args:
            model: the model.
            weights: by their names in ``transformers``.
            part_names: the names there of each weight here.

        Raises:
            UserError: a weight is missing, or its shape does not match the configuration.
        """
        n_tokens = model.vocabulary.size
        names = {name: part_names(name) for name in model.state_dict()}
        own = {name: self._resized(name, self._joined(weights, parts), n_tokens) for name, parts in names.items()}
        read = {part for parts in names.values() for part in parts}
        if unused := [name for name in weights if name not in read and not UNUSED.search(name)]:
            logger.warning(
                "%s has %d weights that a model with these settings does not have, such as %s: they are left out, so "
                "check that config.json belongs to them",
                self.path / WEIGHTS,
                len(unused),
                ", ".join(sorted(unused)[:3]),
            )
        try:
            model.load_state_dict(own)
        except RuntimeError as error:
            raise UserError(f"{self.path / WEIGHTS} does not fit its config.json: {error}") from None
        model.eval()

    def _joined(self, weights: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
        for name in names:
            if name not in weights:
                raise UserError(f"{self.path / WEIGHTS} has no weight {name}")
        return weights[names[0]] if len(names) == 1 else torch.cat([weights[name] for name in names])

    def _resized(self, name: str, weight: Tensor, n_tokens: int) -> Tensor:
        """The rows of the tokenizer's own tokens, and their mean for each appended token.

        The logit of an appended token is then the mean of all logits, so its probability is less than 1 / vocabulary
        size, and predictions hardly change. Rows after the last token, which no text has trained, are dropped.
        """
        if name not in TOKEN_ROWS:
            return weight
        if self.n_own_tokens > len(weight):
            raise UserError(
                f"{self.path}: the tokenizer has {self.n_own_tokens} tokens, but the model has embeddings of "
                f"{len(weight)}: they do not match"
            )
        rows = weight[: self.n_own_tokens]
        mean = rows.mean(dim=0, keepdim=True)
        return torch.cat((rows, mean.expand(n_tokens - self.n_own_tokens, *rows.shape[1:])))


def read_settings(folder: Path) -> dict[str, Any]:
    """The content of ``config.json``.

    Raises:
        UserError: there is none, or it is not of a model of ``transformers``.
    """
    path = folder / CONFIG
    if not path.exists():
        raise UserError(f"{folder} is not a Hugging Face model folder: it has no config.json")
    settings = read_json(path)
    if "model_type" not in settings:
        is_own = (folder / OWN_WEIGHTS).exists()
        hint = "it is a model folder of lmcore: use lmcore.load" if is_own else "only folders of transformers have one"
        raise UserError(f"{path} has no model_type: {hint}")
    return settings


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: only models saved as safetensors can be imported")
    try:
        weights = {name: weight.float() for name, weight in load_file(path).items()}
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}): download or save it again") from None
    for name, weight in weights.items():
        if not weight.isfinite().all():
            raise UserError(f"{path} has values that are not finite in {name}: download or save it again")
    return weights
