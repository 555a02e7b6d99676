"""Adapts a pretrained model before it is fine-tuned: word vectors, low-rank adapters."""

import logging
from pathlib import Path

import torch
from torch import nn

from lmcore.config.training import LoRAConfig
from lmcore.finetuning.word_vectors import read_vectors, start_from
from lmcore.models.lora import add_lora
from lmcore.models.trainable import TextEncoder
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

logger = logging.getLogger(__name__)


def initialize_from_vectors(model: TextEncoder, tokenizer: Tokenizer, path: Path) -> None:
    """Replace the embeddings of tokens that are words in a GloVe file by that file's vectors."""
    embedding = model.get_parameter("embedding.weight")
    vectors = read_vectors(path, tokenizer, embedding.size(1))
    start_from(embedding, vectors)
    logger.info(
        "%d of %d token embeddings are initialized from %s", len(vectors.token_ids), tokenizer.vocabulary.size, path
    )


def add_adapters(model: nn.Module, config: LoRAConfig, *, seed: int) -> None:
    """Freeze the model and add LoRA adapters, which alone are trained; their weights are drawn from the seed."""
    generator = torch.Generator().manual_seed(seed)
    add_lora(model, rank=config.rank, alpha=config.alpha, dropout=config.dropout, generator=generator)
