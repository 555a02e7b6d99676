"""BERT in ``transformers``: ``BertForMaskedLM`` and ``BertForPreTraining``."""

import torch

from lmcore.config.families import MaskingConfig
from lmcore.config.published_models import BERTConfig
from lmcore.errors import UserError
from lmcore.models.bert.model import BERT, NORM_EPSILON
from lmcore.models.huggingface.names import divided, replaced
from lmcore.models.huggingface.reading import OWN_SETTINGS, WEIGHTS, HuggingFaceFolder
from lmcore.models.huggingface.writing import Export, renamed_weights
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

NAMES = (
    ("head.transform.", "cls.predictions.transform.dense."),
    ("head.norm.", "cls.predictions.transform.LayerNorm."),
    ("head.bias", "cls.predictions.bias"),
    ("embedding_norm.", "bert.embeddings.LayerNorm."),
    ("embedding.", "bert.embeddings.word_embeddings."),
    ("positions.", "bert.embeddings.position_embeddings."),
    ("blocks.", "bert.encoder.layer."),
    ("attention.output.", "attention.output.dense."),
    ("attention_norm.", "attention.output.LayerNorm."),
    ("feed_forward_norm.", "output.LayerNorm."),
    ("feed_forward.input.", "intermediate.dense."),
    ("feed_forward.output.", "output.dense."),
)
FUSED, PARTS = "attention.query_key_value.", tuple(f"attention.self.{part}." for part in ("query", "key", "value"))
# Settings for which only one value is supported.
FIXED = {
    "hidden_act": "gelu",
    "layer_norm_eps": NORM_EPSILON,
    "tie_word_embeddings": True,
    "position_embedding_type": "absolute",
    "is_decoder": False,
}
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")
SAME_NAMES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
)
SEGMENTS = "bert.embeddings.token_type_embeddings.weight"
POSITIONS = "bert.embeddings.position_embeddings.weight"
MASKING = MaskingConfig(mlm_probability=0.15, use_whole_words=False)
"""How the published model was pretrained."""


def import_model(folder: HuggingFaceFolder, vocabulary: Vocabulary) -> BERT:
    """The BERT in ``folder``, see :func:`lmcore.models.huggingface.folder.import_model`.

    Every text is one segment: the embedding of the first segment becomes part of the positions.
    """
    folder.require(FIXED)
    values = {
        "family": "bert",
        **{name: folder.get(name) for name in SAME_NAMES},
        "dropout": folder.dropout(DROPOUTS),
        "masking": MASKING.model_dump() | folder.get(OWN_SETTINGS, {}).get("masking", {}),
    }
    model = BERT(folder.config(BERTConfig, values), vocabulary)
    weights = {_current_name(name): weight for name, weight in folder.weights().items()}
    if SEGMENTS not in weights or POSITIONS not in weights:
        raise UserError(f"{folder.path / WEIGHTS} has no weight {SEGMENTS} or {POSITIONS}")
    weights[POSITIONS] = weights[POSITIONS] + weights[SEGMENTS][0]
    folder.load(model, weights, _part_names)
    return model


def export_model(model: BERT) -> Export:
    """The model for ``transformers``."""
    config = model.config
    settings = FIXED | {
        "model_type": "bert",
        "architectures": ["BertForMaskedLM"],
        **{name: getattr(config, name) for name in SAME_NAMES},
        **dict.fromkeys(DROPOUTS, config.dropout),
        "type_vocab_size": 2,
        OWN_SETTINGS: {"masking": config.masking.model_dump()},
    }
    segments = {SEGMENTS: torch.zeros(2, config.hidden_size)}
    return Export(settings, renamed_weights(model, _part_names) | segments, adds_end=True, generation=None)


def _part_names(name: str) -> tuple[str, ...]:
    return (
        tuple(replaced(part, NAMES) for part in divided(name, FUSED, PARTS))
        if FUSED in name
        else (replaced(name, NAMES),)
    )


def _current_name(name: str) -> str:
    """The current name of a weight that the oldest published models name differently."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
