"""Imports models from folders of Hugging Face ``transformers``, and exports them."""

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
from lmcore.models.gpt2.model import GPT2, INTERMEDIATE_RATIO
from lmcore.runtime.files import atomic_folder, write_json
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.vocabulary import END_OF_TEXT, MASK, PADDING, Vocabulary

logger = logging.getLogger(__name__)

# Special tokens that are appended to a published tokenizer if it does not have them.
APPENDED = (PADDING, MASK)
# Parts of parameter names here and in transformers, in the order in which they are replaced.
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
# Settings of a GPT-2 configuration for which only one value is supported.
GPT2_FIXED = {
    "model_type": "gpt2",
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "tie_word_embeddings": True,
    "add_cross_attention": False,
}
# Other names of supported values.
SYNONYMS = {"gelu_pytorch_tanh": "gelu_new"}
GPT2_DROPOUTS = ("resid_pdrop", "embd_pdrop", "attn_pdrop")
BERT_DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")
# Query, key and value of BERT's self-attention are concatenated in one matrix here.
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

    If the tokenizer has no padding or mask token, it is appended, with the mean of all embeddings as its embedding. The
    logit of such a token is the mean of all logits, so its probability is less than 1 / vocabulary size, and
    predictions hardly change. Rows of the embedding table after the last token are dropped.

    Raises:
        FileNotFoundError: a file is missing.
        UserError: the folder has another model, or weights that do not match its configuration.
    """
    described = _read_config(folder, GPT2_FIXED)
    hidden_size = described["n_embd"]
    intermediate_size = described.get("n_inner") or INTERMEDIATE_RATIO * hidden_size
    if intermediate_size != INTERMEDIATE_RATIO * hidden_size:
        raise UserError(
            f"{folder / 'config.json'} has n_inner {intermediate_size}, expected {INTERMEDIATE_RATIO}·n_embd"
        )
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
    weights = {name: weight.T if _is_transposed(name, weight) else weight for name, weight in renamed.items()}
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
        f"transformer.{_renamed(name, GPT2_NAMES)}": (weight.T if _is_transposed(name, weight) else weight)
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
    """The BERT with its masked-language-model head in a folder with ``config.json`` and ``model.safetensors``, in
    evaluation mode.

    Args:
        folder: what ``BertForMaskedLM`` or ``BertForPreTraining`` of ``transformers`` saved.
        vocabulary: the vocabulary of the model's tokenizer (WordPiece, which is not supported here).
        masking: how tokens are masked in further training.

    Raises:
        FileNotFoundError: a file is missing.
        UserError: the folder has another model, or weights that do not match its configuration or the vocabulary.
    """
    described = _read_config(folder, BERT_FIXED)
    if described["vocab_size"] != vocabulary.size:
        raise UserError(f"{folder} has {described['vocab_size']} tokens, but the vocabulary has {vocabulary.size}")
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
    theirs = {_current_name(name): weight for name, weight in _read_weights(folder).items()}
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


def _current_name(name: str) -> str:
    """The current name of a weight that the oldest published models name differently."""
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
        # The name of a special token in a text is encoded as text.
        "split_special_tokens": True,
    }


def _renamed(name: str, names: Sequence[tuple[str, str]]) -> str:
    """The name of a parameter in transformers."""
    for ours, theirs in names:
        name = name.replace(ours, theirs)
    return name


def _is_transposed(name: str, weight: Tensor) -> bool:
    """Whether GPT-2 stores this matrix as (inputs, outputs): all those in its blocks."""
    return name.startswith("blocks.") and weight.ndim == 2


def _resize_table(table: Tensor, n_own_rows: int, n_rows: int) -> Tensor:
    """The rows of the tokenizer's own tokens, and their mean for each appended token."""
    if n_own_rows > len(table):
        raise UserError(
            f"the tokenizer has {n_own_rows} tokens, but the model has embeddings of {len(table)}: they do not match"
        )
    own = table[:n_own_rows]
    return torch.cat((own, own.mean(dim=0, keepdim=True).expand(n_rows - n_own_rows, -1)))


def _dropout(described: Mapping[str, Any], names: Sequence[str], folder: Path) -> float:
    """The dropout rate of further training; models here have one rate, those of transformers several."""
    rates = {name: float(described.get(name, 0.1)) for name in names}
    chosen = rates[names[0]]
    if set(rates.values()) != {chosen}:
        logger.warning(
            "%s has %s; only one dropout rate is supported, %g is used",
            folder / "config.json",
            ", ".join(f"{name} {rate:g}" for name, rate in rates.items()),
            chosen,
        )
    return chosen


def _read_config(folder: Path, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """The content of ``config.json``.

    Raises:
        UserError: a setting has another value than the only supported one in ``fixed``.
    """
    path = folder / "config.json"
    described: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "model_type" not in described:
        raise UserError(f"{path} has no model_type: only folders saved by transformers can be imported")
    for key, value in fixed.items():
        found = described.get(key, value)
        if value not in (found, SYNONYMS.get(found) if isinstance(found, str) else None):
            raise UserError(f"{path} has {key} {described[key]!r}; only models with {value!r} can be imported")
    return described


def _read_tokenizer(path: Path) -> tuple[Tokenizer, int]:
    """The tokenizer in a file, and the number of its tokens before special ones were appended."""
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: save the fast tokenizer to the model's folder")
    backend = tokenizers.Tokenizer.from_file(str(path))
    n_own_tokens = backend.get_vocab_size()
    backend.add_special_tokens([token for token in APPENDED if backend.token_to_id(token) is None])
    if backend.token_to_id(END_OF_TEXT) is None:
        raise UserError(f"{path} has no token {END_OF_TEXT}, which every GPT-2 tokenizer has")
    tokenizer = Tokenizer(backend)
    tokenizer.check_characters(path)
    return tokenizer, n_own_tokens


def _read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights in ``model.safetensors``, or in the files that its index names."""
    index = folder / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if not (folder / names[0]).exists() and index.exists():
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    weights: dict[str, Tensor] = {}
    for name in names:
        # Only files in the model's folder are read, whatever path the index has.
        path = folder / Path(name).name
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: only models saved as safetensors can be imported")
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
