"""The GPT in ``transformers``: as Qwen3 if that computes the same, otherwise with code of its own in the folder."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmcore.config.models import GPTConfig
from lmcore.models.gpt.model import GPT
from lmcore.models.huggingface.llama import NAMES
from lmcore.models.huggingface.names import replaced
from lmcore.models.huggingface.reading import HuggingFaceFolder
from lmcore.models.huggingface.writing import Export
from lmcore.models.layers.functional import normalize
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

MODEL_TYPE = "lmcore-gpt"
CODE = Path(__file__).parent / "exported" / "modeling_gpt.py"
EPSILON = 1e-12
"""Small enough to make no difference: the GPT's normalization adds nothing to the mean square."""


def import_model(folder: HuggingFaceFolder, vocabulary: Vocabulary) -> GPT:
    """The GPT in ``folder``, see :func:`lmcore.models.huggingface.folder.import_model`."""
    names = [name for name in GPTConfig.model_fields if name != "family"]
    values = {"family": "gpt", **{name: folder.settings.get(name) for name in names}}
    model = GPT(folder.config(GPTConfig, values), vocabulary)
    folder.load(model, folder.weights(), lambda name: (name,))
    return model


def export_model(model: GPT) -> Export:
    """The model for ``transformers``."""
    return _as_qwen3(model) if _is_qwen3(model.config) else _with_code(model)


def _is_qwen3(config: GPTConfig) -> bool:
    """Whether the model uses no setting that Qwen3 lacks."""
    extras = (
        config.use_residual_mixing,
        config.use_value_embeddings,
        config.use_token_shift,
        config.ngram_head_order > 0,
    )
    return config.hidden_act == "swiglu" and not any(extras) and config.final_logit_softcapping is None


def _as_qwen3(model: GPT) -> Export:
    """Qwen3 with scales of one; the embeddings, which the GPT normalizes when it reads them, are stored normalized."""
    config, weights = model.config, dict[str, Tensor]()
    for name, weight in model.state_dict().items():
        weights[replaced(name, NAMES)] = weight
    head_dim = config.hidden_size // config.num_attention_heads
    for layer in range(config.num_hidden_layers):
        block = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{block}{norm}.weight"] = torch.ones(config.hidden_size)
        for norm in ("q_norm", "k_norm"):
            weights[f"{block}self_attn.{norm}.weight"] = torch.ones(head_dim)
    weights["model.norm.weight"] = torch.ones(config.hidden_size)
    weights["lm_head.weight"] = model.output_weight.detach().clone()
    weights["model.embed_tokens.weight"] = normalize(model.embedding.weight.detach())
    settings: dict[str, Any] = {
        "model_type": "qwen3",
        "architectures": ["Qwen3ForCausalLM"],
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "head_dim": head_dim,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_position_embeddings,
        "rms_norm_eps": EPSILON,
        "rope_theta": config.rope_theta,
        "rope_scaling": None,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": False,
        "use_sliding_window": False,
    }
    return Export(settings, weights)


def _with_code(model: GPT) -> Export:
    settings = model.config.model_dump(exclude={"family"}) | {
        "model_type": MODEL_TYPE,
        "architectures": ["LmcoreGPTForCausalLM"],
        "auto_map": {
            "AutoConfig": f"{CODE.stem}.LmcoreGPTConfig",
            "AutoModelForCausalLM": f"{CODE.stem}.LmcoreGPTForCausalLM",
        },
    }
    return Export(settings, model.state_dict(), code=CODE)
