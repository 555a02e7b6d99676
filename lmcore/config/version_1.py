"""How settings of models were called in format 1 of parameter files and model folders; for converting these.

Format 2 calls settings as ``transformers`` does.
"""

from collections.abc import Iterator, MutableMapping
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

Section = MutableMapping[str, Any]


def rename_keys(section: Section, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Rename the keys of a section in place, in order; yields old and new name of each renamed key.

    Raises:
        ValueError: if the section has a key under both names.
    """
    for old in [key for key in section if key in names]:
        new = names[old]
        if new in section:
            raise ValueError(f"has both {old} and {new}, its name in format 2; remove one of them")
        _rename(section, old, new)
        yield old, new


def rename_model_keys(model: Section) -> Iterator[tuple[str, str]]:
    """Rename the settings of a model in place; yields the old and the new dotted name of each.

    Args:
        model: the section with ``family`` and the family's settings; one without ``family`` is taken for no LSTM.
    """
    yield from rename_keys(model, LSTM_KEYS if model.get("family") == "lstm" else MODEL_KEYS)
    if (activation := model.get("hidden_act")) in ACTIVATIONS:
        model["hidden_act"] = ACTIVATIONS[activation]
        yield f"hidden_act: {activation}", f"hidden_act: {model['hidden_act']}"
    for name, names in (("masking", MASKING_KEYS), ("corruption", CORRUPTION_KEYS)):
        if isinstance(section := model.get(name), MutableMapping):
            yield from ((f"{name}.{old}", f"{name}.{new}") for old, new in rename_keys(section, names))


def _rename(section: Section, old: str, new: str) -> None:
    """Rename a key where it is; in a section that ruamel.yaml has read with comments, the comment stays as well."""
    if not hasattr(section, "ca"):
        items = [(new if key == old else key, value) for key, value in section.items()]
        section.clear()
        section.update(items)
        return
    position, comment = list(section).index(old), section.ca.items.pop(old, None)
    value = section.pop(old)
    section.insert(position, new, value)  # type: ignore[attr-defined]
    if comment is not None:
        section.ca.items[new] = comment
