"""Small random models and tokenizers of ``transformers``, saved to a folder, as others publish them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = [
    "The quick brown fox jumps over the lazy dog.\n    return self.value",
    "Ein schöner Tag , don't .",
    "Numbers: 12 345, <b>bold</b> {x} and 20% more.",
] * 10
SENTENCES = ["The quick fox", "  two  spaces ", "schöne Grüße 🦊", "a\nb\tc", "don't <b>{x}</b>", ""]


def llama2_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Byte pairs on SentencePiece's words, with bytes for rare characters; ``<s>`` before a text."""
    backend = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    backend.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=340, special_tokens=special, show_progress=False, limit_alphabet=40)
    )
    # The bytes are ordinary tokens of Llama 2.
    backend = without_special(backend, keep=["<unk>", "<s>", "</s>"])
    backend.post_processor = template(backend, "<s> $A", "<s>")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def byte_level(start: str | None, end: str, words: str | None = None) -> transformers.PreTrainedTokenizerFast:
    """Byte-level byte pairs as in GPT-2 or, with a pattern for words, Llama 3 and Qwen."""
    backend = tokenizers.Tokenizer(models.BPE())
    if words is None:
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        split = pre_tokenizers.Split(tokenizers.Regex(words), "isolated")
        bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_only])
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=290, show_progress=False, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())
    )
    backend.train_from_iterator(TEXTS, trainer)
    backend.add_special_tokens([token for token in (start, end) if token is not None])
    if start is not None:
        backend.post_processor = processors.Sequence(
            [processors.ByteLevel(trim_offsets=False), template(backend, f"{start} $A", start)]
        )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=start, eos_token=end)


def t5_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Unigrams with sentinels, as T5's ``tokenizer.json`` has them; ``</s>`` after a text."""
    backend = tokenizers.Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()
    metaspace = pre_tokenizers.Metaspace(prepend_scheme="always")
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    backend.decoder = decoders.Metaspace(prepend_scheme="always")
    sentinels = [f"<extra_id_{number}>" for number in range(4)]
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=["<pad>", "</s>", "<unk>", *sentinels], unk_token="<unk>", show_progress=False
    )
    backend.train_from_iterator([text.replace("<", "").replace("{", "") for text in TEXTS], trainer)
    backend.post_processor = template(backend, "$A </s>", "</s>")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="</s>", pad_token="<pad>", unk_token="<unk>", extra_special_tokens=sentinels
    )


def bert_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Word pieces in lower case, between ``[CLS]`` and ``[SEP]``."""
    made = tokenizers.BertWordPieceTokenizer()
    made.train_from_iterator(TEXTS, vocab_size=150, show_progress=False)
    backend = tokenizers.Tokenizer.from_str(made.to_str())
    backend.post_processor = template(backend, "[CLS] $A [SEP]", "[CLS]", "[SEP]")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        unk_token="[UNK]",
    )


def template(backend: tokenizers.Tokenizer, single: str, *names: str) -> processors.TemplateProcessing:
    ids = [(name, backend.token_to_id(name)) for name in names]
    return processors.TemplateProcessing(single=single, pair=f"{single} $B", special_tokens=ids)


def without_special(backend: tokenizers.Tokenizer, keep: list[str]) -> tokenizers.Tokenizer:
    described = json.loads(backend.to_str())
    described["added_tokens"] = [token for token in described["added_tokens"] if token["content"] in keep]
    return tokenizers.Tokenizer.from_str(json.dumps(described))


CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3_WORDS = rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{REST}"
QWEN_WORDS = rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{REST}"
TOKENIZERS: dict[str, Callable[[], transformers.PreTrainedTokenizerFast]] = {
    "gpt2": lambda: byte_level(None, "<|endoftext|>"),
    "llama2": llama2_tokenizer,
    "llama3": lambda: byte_level("<|begin_of_text|>", "<|eot_id|>", LLAMA3_WORDS),
    "qwen": lambda: byte_level(None, "<|im_end|>", QWEN_WORDS),
    "t5": t5_tokenizer,
    "bert": bert_tokenizer,
}
DECODER = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
}
T5 = {"d_model": 16, "d_kv": 6, "d_ff": 24, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 2}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
Reference = tuple[type, type, dict[str, Any], str]
REFERENCES: dict[str, Reference] = {
    "gpt2": (
        transformers.GPT2Config,
        transformers.GPT2LMHeadModel,
        {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64},
        "gpt2",
    ),
    "bert": (
        transformers.BertConfig,
        transformers.BertForMaskedLM,
        {key: value for key, value in DECODER.items() if key != "num_key_value_heads"},
        "bert",
    ),
    "llama 2": (transformers.LlamaConfig, transformers.LlamaForCausalLM, DECODER, "llama2"),
    "llama 3": (
        transformers.LlamaConfig,
        transformers.LlamaForCausalLM,
        DECODER | {"rope_parameters": LLAMA3_ROPE, "tie_word_embeddings": True, "head_dim": 6, "attention_bias": True},
        "llama3",
    ),
    "llama with linear scaling": (
        transformers.LlamaConfig,
        transformers.LlamaForCausalLM,
        DECODER | {"rope_parameters": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}},
        "llama2",
    ),
    "mistral": (
        transformers.MistralConfig,
        transformers.MistralForCausalLM,
        DECODER | {"head_dim": 6, "sliding_window": None},
        "llama2",
    ),
    "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM, DECODER, "qwen"),
    "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM, DECODER | {"head_dim": 6}, "qwen"),
    "t5 1.0": (transformers.T5Config, transformers.T5ForConditionalGeneration, T5, "t5"),
    "t5 1.1": (
        transformers.T5Config,
        transformers.T5ForConditionalGeneration,
        T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        "t5",
    ),
}


def save_reference(folder: Path, name: str, *, extra_rows: int = 0, **changes: object) -> Any:
    """A random model and its tokenizer, saved to ``folder``; returns the model.

    ``extra_rows`` of its vocabulary have no token.
    """
    config_class, model_class, shape, kind = REFERENCES[name]
    tokenizer = TOKENIZERS[kind]()
    ids = {
        role: getattr(tokenizer, role) for role in ("bos_token_id", "eos_token_id", "pad_token_id") if kind != "bert"
    }
    start = {"decoder_start_token_id": tokenizer.pad_token_id} if kind == "t5" else {}
    torch.manual_seed(2)
    config = config_class(**shape | {"vocab_size": len(tokenizer) + extra_rows} | ids | start | changes)
    model = model_class(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
        if name == "t5 1.1":
            model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight) * 0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model
