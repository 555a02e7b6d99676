"""T5 in ``transformers``: ``T5ForConditionalGeneration``."""

import re

import torch

from lmcore.config.families import CorruptionConfig
from lmcore.config.published_models import T5Config
from lmcore.errors import UserError
from lmcore.models.huggingface.names import replaced
from lmcore.models.huggingface.reading import OWN_SETTINGS, HuggingFaceFolder
from lmcore.models.huggingface.writing import Export, renamed_weights
from lmcore.models.t5.model import T5
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

NAMES = (
    ("encoder_norm.", "encoder.final_layer_norm."),
    ("decoder_norm.", "decoder.final_layer_norm."),
    ("encoder_bias.table.", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias."),
    ("decoder_bias.table.", "decoder.block.0.layer.0.SelfAttention.relative_attention_bias."),
    ("encoder_blocks.", "encoder.block."),
    ("decoder_blocks.", "decoder.block."),
    ("source_attention.", "layer.1.EncDecAttention."),
    ("source_norm.", "layer.1.layer_norm."),
    ("feed_forward_norm.", "layer.{last}.layer_norm."),
    ("feed_forward.", "layer.{last}.DenseReluDense."),
    ("attention_norm.", "layer.0.layer_norm."),
    (".attention.", ".layer.0.SelfAttention."),
    ("Attention.query.", "Attention.q."),
    ("Attention.key.", "Attention.k."),
    ("Attention.value.", "Attention.v."),
    ("Attention.output.", "Attention.o."),
    ("DenseReluDense.gate.", "DenseReluDense.wi_0."),
    ("DenseReluDense.output.", "DenseReluDense.wo."),
)
SETTINGS = {
    "d_model": "hidden_size",
    "d_kv": "head_dim",
    "d_ff": "intermediate_size",
    "num_layers": "encoder_layers",
    "num_decoder_layers": "decoder_layers",
    "num_heads": "num_attention_heads",
    "relative_attention_num_buckets": "relative_attention_num_buckets",
    "relative_attention_max_distance": "relative_attention_max_distance",
    "layer_norm_epsilon": "layer_norm_epsilon",
    "dropout_rate": "dropout",
    "feed_forward_proj": "feed_forward_proj",
}
"""Settings of ``transformers`` and their names here."""
DEFAULTS = {
    "relative_attention_max_distance": 128,
    "relative_attention_num_buckets": 32,
    "layer_norm_epsilon": 1e-6,
    "dropout_rate": 0.1,
    "feed_forward_proj": "relu",
}
"""The defaults of ``transformers`` for settings that ``config.json`` lacks."""
CONTEXT = 512
"""The longest source and target in the pretraining of the published models."""
CORRUPTION = CorruptionConfig(noise_density=0.15, mean_noise_span_length=3.0)
"""How the published models were pretrained."""
EMBEDDING, HEAD = "shared.weight", "lm_head.weight"


def import_model(folder: HuggingFaceFolder, vocabulary: Vocabulary) -> T5:
    """The T5 in ``folder``, see :func:`lmcore.models.huggingface.folder.import_model`."""
    start = folder.get("decoder_start_token_id", folder.get("pad_token_id", 0))
    if start != folder.get("pad_token_id", 0) or start != vocabulary.padding_id:
        raise UserError(
            f"{folder.config_path} has decoder_start_token_id {start}, expected that of the padding token "
            f"({vocabulary.padding_id})"
        )
    weights = folder.weights()
    embedding = weights.get(EMBEDDING, weights.get("encoder.embed_tokens.weight"))
    if embedding is not None:
        weights[EMBEDDING] = embedding
    # Only the weights show whether they are tied: transformers always writes that they are.
    is_tied = HEAD not in weights or (embedding is not None and torch.equal(weights[HEAD], embedding))
    values = {ours: folder.get(theirs, DEFAULTS.get(theirs)) for theirs, ours in SETTINGS.items()}
    values |= {
        "family": "t5",
        "decoder_layers": folder.get("num_decoder_layers", folder.get("num_layers")),
        "dropout": float(values["dropout"]),
        "tie_word_embeddings": is_tied,
        "scale_decoder_outputs": folder.get("scale_decoder_outputs", folder.get("tie_word_embeddings", True)),
        "max_position_embeddings": folder.get("n_positions", CONTEXT),
        "corruption": CORRUPTION.model_dump() | folder.get(OWN_SETTINGS, {}).get("corruption", {}),
    }
    model = T5(folder.config(T5Config, values), vocabulary)
    folder.load(model, weights, lambda name: _part_names(name, model.config))
    return model


def export_model(model: T5) -> Export:
    """The model for ``transformers``.

    Raises:
        UserError: ``transformers`` does not support the scale of the output.
    """
    config = model.config
    if config.scale_decoder_outputs and not config.tie_word_embeddings:
        raise UserError(
            "transformers scales the decoder's output only if tie_word_embeddings is true; this model has "
            "scale_decoder_outputs true and tie_word_embeddings false, so it cannot be exported"
        )
    settings = {theirs: getattr(config, ours) for theirs, ours in SETTINGS.items()} | {
        "model_type": "t5",
        "architectures": ["T5ForConditionalGeneration"],
        "is_encoder_decoder": True,
        "decoder_start_token_id": model.decoder_start_id,
        # There, this setting says whether the output is scaled.
        "tie_word_embeddings": config.scale_decoder_outputs,
        "n_positions": config.max_position_embeddings,
        "max_position_embeddings": config.max_position_embeddings,
        OWN_SETTINGS: {"corruption": config.corruption.model_dump()},
    }
    weights = renamed_weights(model, lambda name: _part_names(name, config))
    if config.tie_word_embeddings and not config.scale_decoder_outputs:
        weights[HEAD] = weights[EMBEDDING].clone()
    generation = {"decoder_start_token_id": model.decoder_start_id}
    return Export(settings, weights, adds_end=True, generation=generation)


def _part_names(name: str, config: T5Config) -> tuple[str]:
    if name in ("embedding.weight", "head.weight"):
        return (EMBEDDING if name == "embedding.weight" else HEAD,)
    last = "1" if name.startswith("encoder") else "2"
    theirs = replaced(name, NAMES).replace("{last}", last)
    expansion = "wi" if config.feed_forward_proj == "relu" else "wi_1"
    return (re.sub(r"DenseReluDense\.input\.", f"DenseReluDense.{expansion}.", theirs),)
