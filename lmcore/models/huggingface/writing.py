"""Writes a folder that ``transformers`` loads."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from lmcore.models.huggingface.reading import CONFIG, WEIGHTS, PartNames
from lmcore.models.model import Model
from lmcore.runtime.files import atomic_folder, write_json, write_text
from lmcore.tokens.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class Export:
    """A model as ``transformers`` has it.

    Attributes:
        settings: the content of ``config.json``, without the special tokens.
        weights: the weights by their names there.
        adds_end: whether the end token follows a text that the model reads.
        generation: more content of ``generation_config.json``, for models that generate text.
        code: a file with the model's code, if ``transformers`` does not have it.
    """

    settings: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    adds_end: bool = False
    generation: Mapping[str, Any] | None = field(default_factory=dict)
    code: Path | None = None


def renamed_weights(model: Model, part_names: PartNames) -> dict[str, Tensor]:
    """The weights of ``model`` by their names in ``transformers``, divided where there are several."""
    renamed: dict[str, Tensor] = {}
    for name, weight in model.state_dict().items():
        names = part_names(name)
        renamed.update(zip(names, weight.chunk(len(names)), strict=True))
    return renamed


def write_folder(export: Export, tokenizer: Tokenizer, folder: Path) -> None:
    """Replace ``folder`` by a model and its tokenizer, atomically."""
    vocabulary = tokenizer.vocabulary
    token_ids = {
        "bos_token_id": vocabulary.start_id,
        "eos_token_id": vocabulary.end_of_text_id,
        "pad_token_id": vocabulary.padding_id,
    }
    settings = {**export.settings, "vocab_size": vocabulary.size, **token_ids, "dtype": "float32"}
    with atomic_folder(folder) as temporary:
        write_json(temporary / CONFIG, settings)
        weights = {name: weight.detach().cpu().contiguous() for name, weight in export.weights.items()}
        save_file(weights, temporary / WEIGHTS, metadata={"format": "pt"})
        if export.generation is not None:
            write_json(temporary / "generation_config.json", {**token_ids, **export.generation})
        if export.code is not None:
            shutil.copyfile(export.code, temporary / export.code.name)
        write_text(temporary / "tokenizer.json", tokenizer.to_transformers_json(adds_end=export.adds_end))
        write_json(
            temporary / "tokenizer_config.json",
            _tokenizer_settings(tokenizer, export.settings.get("max_position_embeddings")),
        )


def _tokenizer_settings(tokenizer: Tokenizer, max_position_embeddings: int | None) -> dict[str, Any]:
    vocabulary = tokenizer.vocabulary
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokenizer.name_of(vocabulary.start_id),
        "eos_token": tokenizer.name_of(vocabulary.end_of_text_id),
        "pad_token": tokenizer.name_of(vocabulary.padding_id),
        "mask_token": tokenizer.name_of(vocabulary.mask_id),
        "model_max_length": max_position_embeddings,
        "clean_up_tokenization_spaces": False,
        # The name of a special token in a text is encoded as text.
        "split_special_tokens": True,
    }
