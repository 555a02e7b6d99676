"""GPT-2 in ``transformers``: ``GPT2LMHeadModel``."""

from torch import Tensor

from lmcore.config.published_models import GPT2Config
from lmcore.errors import UserError
from lmcore.models.gpt2.model import GPT2, INTERMEDIATE_RATIO
from lmcore.models.huggingface.names import replaced
from lmcore.models.huggingface.reading import HuggingFaceFolder
from lmcore.models.huggingface.writing import Export, renamed_weights
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

NAMES = (
    ("embedding.", "wte."),
    ("positions.", "wpe."),
    ("blocks.", "h."),
    ("attention_norm.", "ln_1."),
    ("attention.query_key_value.", "attn.c_attn."),
    ("attention.output.", "attn.c_proj."),
    ("feed_forward_norm.", "ln_2."),
    ("feed_forward.input.", "mlp.c_fc."),
    ("feed_forward.output.", "mlp.c_proj."),
    ("final_norm.", "ln_f."),
)
# Settings for which only one value is supported.
FIXED = {
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "tie_word_embeddings": True,
    "add_cross_attention": False,
}
DROPOUTS = ("resid_pdrop", "embd_pdrop", "attn_pdrop")
PREFIX = "transformer."


def import_model(folder: HuggingFaceFolder, vocabulary: Vocabulary) -> GPT2:
    """The GPT-2 in ``folder``, see :func:`lmcore.models.huggingface.folder.import_model`."""
    folder.require(FIXED)
    hidden_size = folder.get("n_embd")
    intermediate_size = folder.get("n_inner", INTERMEDIATE_RATIO * hidden_size)
    if intermediate_size != INTERMEDIATE_RATIO * hidden_size:
        raise UserError(f"{folder.config_path} has n_inner {intermediate_size}, expected {INTERMEDIATE_RATIO}·n_embd")
    values = {
        "family": "gpt2",
        "hidden_size": hidden_size,
        "num_hidden_layers": folder.get("n_layer"),
        "num_attention_heads": folder.get("n_head"),
        "max_position_embeddings": folder.get("n_positions"),
        "dropout": folder.dropout(DROPOUTS),
    }
    model = GPT2(folder.config(GPT2Config, values), vocabulary)
    # The first published folders have no prefix.
    weights = {f"{PREFIX}{name.removeprefix(PREFIX)}": weight for name, weight in folder.weights().items()}
    folder.load(model, _transposed(weights), _part_names)
    return model


def export_model(model: GPT2) -> Export:
    """The model for ``transformers``."""
    config = model.config
    settings = FIXED | {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "n_embd": config.hidden_size,
        "n_layer": config.num_hidden_layers,
        "n_head": config.num_attention_heads,
        "n_positions": config.max_position_embeddings,
        "n_inner": None,
        **dict.fromkeys(DROPOUTS, config.dropout),
    }
    return Export(settings, _transposed(renamed_weights(model, _part_names)))


def _part_names(name: str) -> tuple[str]:
    return (f"{PREFIX}{replaced(name, NAMES)}",)


def _transposed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The matrices of blocks, which ``transformers`` stores as (inputs, outputs), transposed."""
    return {
        name: weight.T if name.startswith(f"{PREFIX}h.") and weight.ndim == 2 else weight
        for name, weight in weights.items()
    }
