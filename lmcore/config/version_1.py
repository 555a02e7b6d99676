"""The names of model settings in format 1 of parameter files and model folders, for converting these files.

Format 2 names settings as ``transformers`` does.
"""

from collections.abc import Iterator
from typing import Any

MODEL_KEYS = {
    "activation": "hidden_act",
    "context_length": "max_position_embeddings",
    "feed_forward_width": "intermediate_size",
    "logit_soft_cap": "final_logit_softcapping",
    "n_decoder_layers": "decoder_layers",
    "n_encoder_layers": "encoder_layers",
    "n_heads": "num_attention_heads",
    "n_key_value_heads": "num_key_value_heads",
    "n_layers": "num_hidden_layers",
    "n_states": "num_states",
    "rotary_base": "rope_theta",
    "tie_embeddings": "tie_word_embeddings",
    "width": "hidden_size",
}
LSTM_KEYS = MODEL_KEYS | {"hidden_width": "hidden_size", "width": "embedding_size"}
MASKING_KEYS = {"share": "mlm_probability"}
CORRUPTION_KEYS = {"mean_span_tokens": "mean_noise_span_length", "share": "noise_density"}
ACTIVATIONS = {"relu_squared": "relu2"}


def model_keys(family: str | None) -> dict[str, str]:
    """The new name of each renamed setting of a family of models."""
    return LSTM_KEYS if family == "lstm" else MODEL_KEYS


def rename_model_keys(model: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Rename the settings of a model in place and in order; yields the old and the new dotted name of each.

    Args:
        model: ``family`` and the family's settings.
    """
    yield from _rename_keys(model, model_keys(model.get("family")))
    if (activation := model.get("hidden_act")) in ACTIVATIONS:
        model["hidden_act"] = ACTIVATIONS[activation]
        yield f"hidden_act: {activation}", f"hidden_act: {model['hidden_act']}"
    for name, names in (("masking", MASKING_KEYS), ("corruption", CORRUPTION_KEYS)):
        if isinstance(section := model.get(name), dict):
            yield from ((f"{name}.{old}", f"{name}.{new}") for old, new in _rename_keys(section, names))


def _rename_keys(section: dict[str, Any], names: dict[str, str]) -> Iterator[tuple[str, str]]:
    items = list(section.items())
    section.clear()
    for key, value in items:
        section[names.get(key, key)] = value
        if key in names:
            yield key, names[key]
