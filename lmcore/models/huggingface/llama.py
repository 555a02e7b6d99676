"""Llama in ``transformers``, with Mistral, Qwen2 and Qwen3: ``LlamaForCausalLM`` and so on."""

import logging
from typing import Any

from lmcore.config.published_models import LlamaConfig
from lmcore.errors import UserError
from lmcore.models.huggingface.names import replaced
from lmcore.models.huggingface.reading import HuggingFaceFolder
from lmcore.models.huggingface.writing import Export, renamed_weights
from lmcore.models.llama.model import Llama
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

NAMES = (
    ("embedding.", "model.embed_tokens."),
    ("blocks.", "model.layers."),
    ("attention_norm.", "input_layernorm."),
    ("feed_forward_norm.", "post_attention_layernorm."),
    ("attention.query_norm.", "self_attn.q_norm."),
    ("attention.key_norm.", "self_attn.k_norm."),
    ("attention.query.", "self_attn.q_proj."),
    ("attention.key.", "self_attn.k_proj."),
    ("attention.value.", "self_attn.v_proj."),
    ("attention.output.", "self_attn.o_proj."),
    ("feed_forward.input.", "mlp.up_proj."),
    ("feed_forward.gate.", "mlp.gate_proj."),
    ("feed_forward.output.", "mlp.down_proj."),
    ("final_norm.", "model.norm."),
    ("head.", "lm_head."),
)
# Settings for which only one value is supported.
FIXED = {"hidden_act": "silu", "mlp_bias": False}
SAME_NAMES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings")
CLASSES = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3"}
# The defaults of transformers for settings that config.json lacks, where the architectures differ.
ROPE_THETA = 10_000.0
DEFAULT_EPSILON = 1e-6
SCALINGS = {
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}


def import_model(folder: HuggingFaceFolder, vocabulary: Vocabulary) -> Llama:
    """The decoder in ``folder``, see :func:`lmcore.models.huggingface.folder.import_model`."""
    folder.require(FIXED)
    heads = folder.get("num_attention_heads")
    biases = _biases(folder)
    values = {
        "family": "llama",
        **{name: folder.get(name) for name in SAME_NAMES},
        "max_position_embeddings": _context(folder),
        "num_key_value_heads": folder.get("num_key_value_heads", heads),
        "head_dim": folder.get("head_dim", folder.get("hidden_size", 0) // max(heads or 1, 1)),
        "rms_norm_eps": float(folder.get("rms_norm_eps", DEFAULT_EPSILON)),
        **_rotary(folder),
        "attention_bias": biases[0],
        "attention_output_bias": biases[1],
        "use_qk_norm": folder.get("model_type") == "qwen3",
        "attention_dropout": float(folder.get("attention_dropout", 0.0)),
        "tie_word_embeddings": folder.get("tie_word_embeddings", False),
    }
    model = Llama(folder.config(LlamaConfig, values), vocabulary)
    folder.load(model, folder.weights(), _part_names)
    return model


def export_model(model: Llama) -> Export:
    """The model for ``transformers``.

    Raises:
        UserError: no architecture there has this combination of settings.
    """
    config = model.config
    architecture = _architecture(config)
    scaling = None if config.rope_scaling is None else config.rope_scaling.model_dump()
    settings = FIXED | {
        "model_type": architecture,
        "architectures": [f"{CLASSES[architecture]}ForCausalLM"],
        **{name: getattr(config, name) for name in SAME_NAMES},
        "num_key_value_heads": config.num_key_value_heads,
        "head_dim": config.head_dim,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": scaling,
        "attention_bias": config.attention_bias,
        "attention_dropout": config.attention_dropout,
        "tie_word_embeddings": config.tie_word_embeddings,
        "use_sliding_window": False,
        "sliding_window": None,
    }
    return Export(settings, renamed_weights(model, _part_names))


def _architecture(config: LlamaConfig) -> str:
    """The model type of ``transformers`` that computes the same."""
    has_equal_biases = config.attention_bias == config.attention_output_bias
    if config.use_qk_norm and has_equal_biases:
        return "qwen3"
    if not config.use_qk_norm and has_equal_biases:
        # Llama there insists on heads that divide the hidden size; Mistral does not, and has no biases.
        divides = config.hidden_size % config.num_attention_heads == 0
        if divides or not config.attention_bias:
            return "llama" if divides else "mistral"
    if not config.use_qk_norm and config.attention_bias:
        return "qwen2"
    raise UserError(
        f"no architecture of transformers has attention_bias {config.attention_bias}, attention_output_bias "
        f"{config.attention_output_bias} and use_qk_norm {config.use_qk_norm} together, so the model cannot be exported"
    )


def _biases(folder: HuggingFaceFolder) -> tuple[bool, bool]:
    """Whether queries, keys and values have biases, and whether the output has one."""
    architecture = folder.get("model_type")
    if architecture == "qwen2":
        return True, False
    has_biases = architecture != "mistral" and bool(folder.get("attention_bias", False))
    return has_biases, has_biases


def _context(folder: HuggingFaceFolder) -> Any:
    """The longest sequence that the model reads as it does in ``transformers``.

    Up to the length of a sliding window, attention reaches everything, so the window bounds the context here.
    """
    longest, window = folder.get("max_position_embeddings"), folder.get("sliding_window")
    is_used = folder.get("model_type") == "mistral" or folder.get("use_sliding_window", False)
    if not is_used or not isinstance(window, int) or not isinstance(longest, int) or window >= longest:
        return longest
    logger.warning(
        "%s has a sliding window of %d tokens, which is not supported beyond the window: the context is limited to %d "
        "tokens instead of %d",
        folder.config_path,
        window,
        window,
        longest,
    )
    return window


def _rotary(folder: HuggingFaceFolder) -> dict[str, Any]:
    """The base of the frequencies and their scaling, as releases of ``transformers`` before or since 5 write them."""
    described: dict[str, Any] = folder.get("rope_parameters") or folder.get("rope_scaling") or {}
    kind = described.get("rope_type", described.get("type", "default"))
    theta = float(described.get("rope_theta", folder.get("rope_theta", ROPE_THETA)))
    partial = described.get("partial_rotary_factor", folder.get("partial_rotary_factor", 1.0))
    if kind not in ("default", *SCALINGS) or partial != 1.0:
        found = f"rope_type {kind!r}" if partial == 1.0 else f"partial_rotary_factor {partial}"
        raise UserError(
            f"{folder.config_path} has {found}; only the types default, {', '.join(SCALINGS)} of rotary positions over "
            "whole heads can be imported"
        )
    if kind == "default":
        return {"rope_theta": theta, "rope_scaling": None}
    scaling = {"rope_type": kind}
    for name in SCALINGS[kind]:
        value = described.get(name, folder.get("max_position_embeddings") if name.startswith("original") else None)
        scaling[name] = float(value) if name.endswith("factor") and isinstance(value, int) else value
    return {"rope_theta": theta, "rope_scaling": scaling}


def _part_names(name: str) -> tuple[str]:
    return (replaced(name, NAMES),)
