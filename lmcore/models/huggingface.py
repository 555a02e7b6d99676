"""Folders as Hugging Face ``transformers`` reads and writes them, to this project's models and back."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lmcore.config.models import BERTConfig, GPT2Config, MaskingConfig
from lmcore.errors import UserError
from lmcore.models.bert.model import BERT, NORM_EPSILON
from lmcore.models.gpt2.model import FEED_FORWARD_WIDENING, GPT2
from lmcore.runtime.files import atomic_folder, write_json
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.vocabulary import END_OF_TEXT, MASK, PADDING, Vocabulary

logger = logging.getLogger(__name__)

# Tokens that a published tokenizer need not have.
APPENDED = (PADDING, MASK)
# Parts of this project's parameter names and of theirs, in the order in which they are replaced.
GPT2_NAMES = (
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
# What GPT-2's configuration can say and this project's model cannot do otherwise.
GPT2_FIXED = {
    "model_type": "gpt2",
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "tie_word_embeddings": True,
    "add_cross_attention": False,
}
# Other names for what is computed here.
SYNONYMS = {"gelu_pytorch_tanh": "gelu_new"}
GPT2_DROPOUTS = ("resid_pdrop", "embd_pdrop", "attn_pdrop")
BERT_DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")
# For BERT's self-attention, query, key and value follow each other in one matrix here.
BERT_NAMES = (
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
BERT_FIXED = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "layer_norm_eps": NORM_EPSILON,
    "tie_word_embeddings": True,
    "position_embedding_type": "absolute",
    "is_decoder": False,
}


def import_gpt2(folder: Path) -> tuple[GPT2, Tokenizer]:
    """The GPT-2 in a folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``, in evaluation mode.

    Where its tokenizer has no token for padding or for hiding, one is appended, and the mean of all embeddings as its
    row of the table. Such a token's logit is the mean of all logits, so that its probability is below one by the
    vocabulary's size and no text is predicted noticeably otherwise. Rows behind the last token are left out.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if it holds another model, or weights that do not fit its configuration.
    """
    described = _read_config(folder, GPT2_FIXED)
    hidden_size = described["n_embd"]
    widening = described.get("n_inner") or FEED_FORWARD_WIDENING * hidden_size
    if widening != FEED_FORWARD_WIDENING * hidden_size:
        raise UserError(f"{folder / 'config.json'} has n_inner {widening}; GPT-2 has {FEED_FORWARD_WIDENING}·n_embd")
    tokenizer, n_own_tokens = _read_tokenizer(folder / "tokenizer.json")
    config = GPT2Config(
        family="gpt2",
        hidden_size=hidden_size,
        num_hidden_layers=described["n_layer"],
        num_attention_heads=described["n_head"],
        max_position_embeddings=described["n_positions"],
        dropout=_dropout(described, GPT2_DROPOUTS, folder),
    )
    model = GPT2(config, tokenizer.vocabulary)
    theirs = {name.removeprefix("transformer."): weight for name, weight in _read_weights(folder).items()}
    renamed = {name: _pick(theirs, _renamed(name, GPT2_NAMES), folder) for name in model.state_dict()}
    weights = {name: weight.T if _is_turned(name, weight) else weight for name, weight in renamed.items()}
    weights["embedding.weight"] = _resize_table(weights["embedding.weight"], n_own_tokens, tokenizer.vocabulary.size)
    _load(model, weights, folder)
    return model, tokenizer


def export_gpt2(model: GPT2, tokenizer: Tokenizer, folder: Path) -> None:
    """Replace ``folder`` by one that ``AutoModelForCausalLM`` and ``AutoTokenizer`` of ``transformers`` load."""
    config, vocabulary = model.config, model.vocabulary
    description = GPT2_FIXED | {
        "architectures": ["GPT2LMHeadModel"],
        "n_embd": config.hidden_size,
        "n_layer": config.num_hidden_layers,
        "n_head": config.num_attention_heads,
        "n_positions": config.max_position_embeddings,
        "n_inner": None,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "vocab_size": vocabulary.size,
        "bos_token_id": vocabulary.end_of_text_id,
        "eos_token_id": vocabulary.end_of_text_id,
        "pad_token_id": vocabulary.padding_id,
        "dtype": "float32",
    }
    weights = {
        f"transformer.{_renamed(name, GPT2_NAMES)}": (weight.T if _is_turned(name, weight) else weight)
        .detach()
        .cpu()
        .contiguous()
        for name, weight in model.state_dict().items()
    }
    with atomic_folder(folder) as temporary:
        write_json(temporary / "config.json", description)
        save_file(weights, temporary / "model.safetensors", metadata={"format": "pt"})
        tokenizer.save(temporary / "tokenizer.json")
        write_json(
            temporary / "tokenizer_config.json", _tokenizer_description(tokenizer, config.max_position_embeddings)
        )


def import_bert(folder: Path, vocabulary: Vocabulary, masking: MaskingConfig) -> BERT:
    """The BERT with its head in a folder with ``config.json`` and ``model.safetensors``, in evaluation mode.

    Args:
        folder: what ``BertForMaskedLM`` or ``BertForPreTraining`` of ``transformers`` saved.
        vocabulary: of its tokenizer, which is of a kind that this project does not have.
        masking: how it is trained further.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if it holds another model, or weights that do not fit its configuration or the vocabulary.
    """
    described = _read_config(folder, BERT_FIXED)
    if described["vocab_size"] != vocabulary.size:
        raise UserError(f"{folder} has {described['vocab_size']} tokens, but the vocabulary given {vocabulary.size}")
    config = BERTConfig(
        family="bert",
        hidden_size=described["hidden_size"],
        num_hidden_layers=described["num_hidden_layers"],
        num_attention_heads=described["num_attention_heads"],
        intermediate_size=described["intermediate_size"],
        max_position_embeddings=described["max_position_embeddings"],
        dropout=_dropout(described, BERT_DROPOUTS, folder),
        masking=masking,
    )
    model = BERT(config, vocabulary)
    theirs = {_present_name(name): weight for name, weight in _read_weights(folder).items()}
    weights = {name: _bert_weight(theirs, name, folder) for name in model.state_dict()}
    segments = _pick(theirs, "bert.embeddings.token_type_embeddings.weight", folder)
    weights["positions.weight"] = weights["positions.weight"] + segments[0]
    _load(model, weights, folder)
    return model


def export_bert(model: BERT, tokenizer: Tokenizer, folder: Path) -> None:
    """Replace ``folder`` by one that ``AutoModelForMaskedLM`` and ``AutoTokenizer`` of ``transformers`` load."""
    config, vocabulary = model.config, model.vocabulary
    description = BERT_FIXED | {
        "architectures": ["BertForMaskedLM"],
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_position_embeddings,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.dropout,
        "type_vocab_size": 2,
        "vocab_size": vocabulary.size,
        "pad_token_id": vocabulary.padding_id,
        "dtype": "float32",
    }
    weights = {"bert.embeddings.token_type_embeddings.weight": torch.zeros(2, config.hidden_size)}
    for name, weight in model.state_dict().items():
        block, _, kind = name.partition(".attention.query_key_value.")
        if kind:
            attention = f"{_renamed(block + '.', BERT_NAMES)}attention.self"
            parts = zip(("query", "key", "value"), weight.chunk(3), strict=True)
            weights |= {f"{attention}.{part}.{kind}": matrix for part, matrix in parts}
        else:
            weights[_renamed(name, BERT_NAMES)] = weight
    with atomic_folder(folder) as temporary:
        write_json(temporary / "config.json", description)
        save_file(
            {name: weight.detach().cpu().contiguous() for name, weight in weights.items()},
            temporary / "model.safetensors",
            metadata={"format": "pt"},
        )
        tokenizer.save(temporary / "tokenizer.json")
        write_json(
            temporary / "tokenizer_config.json", _tokenizer_description(tokenizer, config.max_position_embeddings)
        )


def _bert_weight(theirs: Mapping[str, Tensor], name: str, folder: Path) -> Tensor:
    block, _, kind = name.partition(".attention.query_key_value.")
    if kind:
        own = f"{_renamed(block + '.', BERT_NAMES)}attention.self"
        return torch.cat([_pick(theirs, f"{own}.{part}.{kind}", folder) for part in ("query", "key", "value")])
    return _pick(theirs, _renamed(name, BERT_NAMES), folder)


def _present_name(name: str) -> str:
    """What the oldest published weights call otherwise."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _tokenizer_description(tokenizer: Tokenizer, max_position_embeddings: int) -> dict[str, Any]:
    vocabulary = tokenizer.vocabulary
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokenizer.name_of(vocabulary.end_of_text_id),
        "eos_token": tokenizer.name_of(vocabulary.end_of_text_id),
        "pad_token": tokenizer.name_of(vocabulary.padding_id),
        "mask_token": tokenizer.name_of(vocabulary.mask_id),
        "model_max_length": max_position_embeddings,
        "clean_up_tokenization_spaces": False,
        # As here, a text that names a special token is text.
        "split_special_tokens": True,
    }


def _renamed(name: str, names: Sequence[tuple[str, str]]) -> str:
    """A parameter's name there."""
    for ours, theirs in names:
        name = name.replace(ours, theirs)
    return name


def _is_turned(name: str, weight: Tensor) -> bool:
    """Whether GPT-2 keeps this matrix the other way round, inputs by outputs: all between its layers."""
    return name.startswith("blocks.") and weight.ndim == 2


def _resize_table(table: Tensor, n_own_rows: int, n_rows: int) -> Tensor:
    """The rows of the model's own tokens, and the mean of these for those that were appended."""
    if n_own_rows > len(table):
        raise UserError(
            f"the tokenizer has {n_own_rows} tokens, but the model a table of {len(table)}: they do not match"
        )
    own = table[:n_own_rows]
    return torch.cat((own, own.mean(dim=0, keepdim=True).expand(n_rows - n_own_rows, -1)))


def _dropout(described: Mapping[str, Any], names: Sequence[str], folder: Path) -> float:
    """The dropout of further training: there is one here, where there may be several."""
    rates = {name: float(described.get(name, 0.1)) for name in names}
    chosen = rates[names[0]]
    if set(rates.values()) != {chosen}:
        logger.warning(
            "%s says %s; this model has one dropout rate, %g",
            folder / "config.json",
            ", ".join(f"{name} {rate:g}" for name, rate in rates.items()),
            chosen,
        )
    return chosen


def _read_config(folder: Path, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """What ``config.json`` says, held against what has to be so; what it does not say is so."""
    path = folder / "config.json"
    described: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "model_type" not in described:
        raise UserError(f"{path} has no model_type: only folders saved by transformers can be imported")
    for key, value in fixed.items():
        found = described.get(key, value)
        if value not in (found, SYNONYMS.get(found) if isinstance(found, str) else None):
            raise UserError(f"{path} says {key} {described[key]!r}; only models with {value!r} can be imported")
    return described


def _read_tokenizer(path: Path) -> tuple[Tokenizer, int]:
    """And how many tokens it had of its own."""
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; save the tokenizer beside the model in its fast form")
    backend = tokenizers.Tokenizer.from_file(str(path))
    n_own_tokens = backend.get_vocab_size()
    backend.add_special_tokens([token for token in APPENDED if backend.token_to_id(token) is None])
    if backend.token_to_id(END_OF_TEXT) is None:
        raise UserError(f"{path} has no token {END_OF_TEXT}, which every GPT-2 has")
    tokenizer = Tokenizer(backend)
    tokenizer.check_characters(path)
    return tokenizer, n_own_tokens


def _read_weights(folder: Path) -> dict[str, Tensor]:
    """From one file, or from the several that an index names."""
    index = folder / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if not (folder / names[0]).exists() and index.exists():
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    weights: dict[str, Tensor] = {}
    for name in names:
        # An index names files beside itself, whatever it says.
        path = folder / Path(name).name
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there; only models saved as safetensors can be imported")
        weights |= load_file(path)
    return {name: weight.float() for name, weight in weights.items()}


def _pick(weights: Mapping[str, Tensor], name: str, folder: Path) -> Tensor:
    if name not in weights:
        raise UserError(f"{folder / 'model.safetensors'} has no weight {name}")
    return weights[name]


def _load(model: torch.nn.Module, weights: Mapping[str, Tensor], folder: Path) -> None:
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise UserError(f"{folder / 'model.safetensors'} does not fit its config.json: {error}") from None
    model.eval()
