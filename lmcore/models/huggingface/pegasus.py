"""The encoder-decoder in ``transformers``: ``PegasusForConditionalGeneration``, which has exactly its architecture.

Pegasus (Zhang et al. 2020) has fixed positions; those of the encoder-decoder are loaded in their place.
"""

import torch

from lmcore.config.families import CorruptionConfig
from lmcore.config.models import EncoderDecoderConfig
from lmcore.errors import UserError
from lmcore.models.encoder_decoder.model import EncoderDecoder
from lmcore.models.huggingface.names import divided, replaced
from lmcore.models.huggingface.reading import OWN_SETTINGS, HuggingFaceFolder
from lmcore.models.huggingface.writing import Export, renamed_weights
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

NAMES = (
    ("source_positions.", "model.encoder.embed_positions."),
    ("target_positions.", "model.decoder.embed_positions."),
    ("encoder_norm.", "model.encoder.layer_norm."),
    ("decoder_norm.", "model.decoder.layer_norm."),
    ("encoder_blocks.", "model.encoder.layers."),
    ("decoder_blocks.", "model.decoder.layers."),
    ("feed_forward_norm.", "final_layer_norm."),
    ("feed_forward.input.", "fc1."),
    ("feed_forward.output.", "fc2."),
    ("source_norm.", "encoder_attn_layer_norm."),
    ("source_attention.query.", "encoder_attn.q_proj."),
    ("source_attention.output.", "encoder_attn.out_proj."),
    ("attention_norm.", "self_attn_layer_norm."),
    ("attention.output.", "self_attn.out_proj."),
    ("embedding.", "model.shared."),
)
FUSED = {
    "source_attention.key_value.": ("encoder_attn.k_proj.", "encoder_attn.v_proj."),
    "attention.query_key_value.": ("self_attn.q_proj.", "self_attn.k_proj.", "self_attn.v_proj."),
}
# Settings for which only one value is supported.
FIXED = {
    "activation_function": "gelu",
    "scale_embedding": False,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "tie_word_embeddings": True,
    "forced_eos_token_id": None,
}
CORRUPTION = CorruptionConfig(noise_density=0.15, mean_noise_span_length=3.0)
BIAS = "final_logits_bias"


def import_model(folder: HuggingFaceFolder, vocabulary: Vocabulary) -> EncoderDecoder:
    """The encoder-decoder in ``folder``, see :func:`lmcore.models.huggingface.folder.import_model`."""
    folder.require(FIXED)
    for one, other in (("encoder_attention_heads", "decoder_attention_heads"), ("encoder_ffn_dim", "decoder_ffn_dim")):
        if folder.get(one) != folder.get(other):
            raise UserError(
                f"{folder.config_path} has {one} {folder.get(one)} and {other} {folder.get(other)}; only models in "
                "which they are equal can be imported"
            )
    if folder.get("decoder_start_token_id") != vocabulary.end_of_text_id:
        raise UserError(
            f"{folder.config_path} has decoder_start_token_id {folder.get('decoder_start_token_id')}, expected that of "
            f"the end token ({vocabulary.end_of_text_id})"
        )
    values = {
        "family": "encoder_decoder",
        "hidden_size": folder.get("d_model"),
        "encoder_layers": folder.get("encoder_layers"),
        "decoder_layers": folder.get("decoder_layers"),
        "num_attention_heads": folder.get("encoder_attention_heads"),
        "intermediate_size": folder.get("encoder_ffn_dim"),
        "max_position_embeddings": folder.get("max_position_embeddings"),
        "dropout": float(folder.get("dropout", 0.1)),
        "corruption": CORRUPTION.model_dump() | folder.get(OWN_SETTINGS, {}).get("corruption", {}),
    }
    weights = folder.weights()
    if BIAS in weights and weights[BIAS].any():
        raise UserError(f"{folder.path} has weights {BIAS} that are not zero, which are not supported")
    model = EncoderDecoder(folder.config(EncoderDecoderConfig, values), vocabulary)
    folder.load(model, weights, _part_names)
    return model


def export_model(model: EncoderDecoder) -> Export:
    """The model for ``transformers``."""
    config, vocabulary = model.config, model.vocabulary
    settings = FIXED | {
        "model_type": "pegasus",
        "architectures": ["PegasusForConditionalGeneration"],
        "is_encoder_decoder": True,
        "d_model": config.hidden_size,
        "encoder_layers": config.encoder_layers,
        "decoder_layers": config.decoder_layers,
        **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), config.num_attention_heads),
        **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), config.intermediate_size),
        "max_position_embeddings": config.max_position_embeddings,
        "dropout": config.dropout,
        "decoder_start_token_id": model.decoder_start_id,
        OWN_SETTINGS: {"corruption": config.corruption.model_dump()},
    }
    weights = renamed_weights(model, _part_names) | {BIAS: torch.zeros(1, vocabulary.size)}
    return Export(settings, weights, generation={"decoder_start_token_id": model.decoder_start_id})


def _part_names(name: str) -> tuple[str, ...]:
    for fused, parts in FUSED.items():
        if fused in name:
            return tuple(replaced(part, NAMES) for part in divided(name, fused, parts))
    return (replaced(name, NAMES),)
