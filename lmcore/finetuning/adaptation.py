"""Adapts a pretrained model before it is fine-tuned: word vectors, low-rank adapters, frozen layers."""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from lmcore.config.training import LoRAConfig
from lmcore.errors import UserError
from lmcore.finetuning.adapter_folder import save_adapter
from lmcore.finetuning.word_vectors import WordVectorEmbedding, read_vectors
from lmcore.models.families import build_model
from lmcore.models.lora import add_lora, merge_and_unload
from lmcore.models.prompt import PromptFormat
from lmcore.models.trainable import TextEncoder
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

ADAPTER = "adapter"
"""The folder of the adapters in a model folder."""
BLOCK = re.compile(r"(?:^|_)blocks\.(\d+)\.")
"""In the name of a parameter: the number of its block; an encoder-decoder counts those of both parts."""
EMBEDDINGS = re.compile(r"embedding|positions|token_shift")
"""In the name of a parameter outside the blocks: whether it is read before them."""


def add_word_vectors(
    models: Sequence[TextEncoder], tokenizer: Tokenizer, path: Path
) -> tuple[list[TextEncoder], Tokenizer]:
    """Give models that classify the word vectors of a file, and a token for each of their words.

    Texts to be classified have words that no training text has; their vectors say what they are like.

    Args:
        models: models of one tokenizer, which are not changed.
        tokenizer: the tokenizer.
        path: a file in GloVe's format.

    Returns:
        Models with the same weights and a :class:`~lmcore.finetuning.word_vectors.WordVectorEmbedding`, and the
        tokenizer with all words. After training, :func:`merge_word_vectors` makes each an ordinary model.
    """
    vectors = read_vectors(path, tokenizer)
    larger = tokenizer.with_words(vectors.words)
    rows = torch.zeros(larger.vocabulary.size, vectors.values.shape[1])
    rows[[token for (token,) in larger.encode_batch(vectors.words)]] = torch.from_numpy(vectors.values)
    grown = [with_vocabulary(model, larger.vocabulary) for model in models]
    for model, new in zip(models, grown, strict=True):
        new.embedding = WordVectorEmbedding(model.get_parameter("embedding.weight").detach().clone(), rows)
    n_before = tokenizer.vocabulary.size
    logger.info(
        "%s has vectors of %s of the %s tokens, and of %s words that become tokens",
        path,
        f"{int(rows[:n_before].any(dim=1).sum()):,}",
        f"{n_before:,}",
        f"{larger.vocabulary.size - n_before:,}",
    )
    return grown, larger


def merge_word_vectors(model: nn.Module) -> None:
    """Make the embedding of :func:`add_word_vectors`, if there is one, a table of all tokens, in place."""
    embedding = getattr(model, "embedding", None)
    if isinstance(embedding, WordVectorEmbedding):
        model.embedding = embedding.merged()


def with_vocabulary(model: TextEncoder, vocabulary: Vocabulary) -> TextEncoder:
    """The model with the same weights for a vocabulary that has more tokens, whose weights are zero."""
    larger = build_model(model.config, vocabulary)
    assert isinstance(larger, TextEncoder)
    weights = larger.state_dict()
    for name, weight in model.state_dict().items():
        weights[name].zero_()[tuple(slice(size) for size in weight.shape)] = weight
    larger.load_state_dict(weights)
    return larger


def add_adapters(model: nn.Module, config: LoRAConfig, *, seed: int) -> None:
    """Freeze the model and add LoRA adapters, which alone are trained; their weights are drawn from the seed."""
    generator = torch.Generator().manual_seed(seed)
    add_lora(model, rank=config.rank, alpha=config.alpha, dropout=config.dropout, generator=generator)


def freeze_layers(model: nn.Module, n_blocks: int) -> None:
    """Leave the embeddings and the first blocks as they are: they get neither gradients nor optimizer states.

    An output layer that shares the table of the embeddings is frozen with it. Of an encoder-decoder, the first blocks
    of both parts are frozen.

    Raises:
        UserError: if the model has fewer blocks.
    """
    blocks = {name: int(found[1]) for name, _ in model.named_parameters() if (found := BLOCK.search(name))}
    total = max(blocks.values(), default=-1) + 1
    if n_blocks > total:
        raise UserError(f"frozen_layers is {n_blocks}, but the model has {total} blocks")
    for name, parameter in model.named_parameters():
        is_frozen = blocks[name] < n_blocks if name in blocks else EMBEDDINGS.search(name) is not None
        parameter.requires_grad_(not is_frozen)


def save_adapted(
    folder: Path,
    model: nn.Module,
    config: LoRAConfig | None,
    save_model: Callable[[Path], None],
    *,
    prompt_format: PromptFormat | None = None,
) -> None:
    """Merge the adapters of a model, if it has any, and save it; if configured so, with the adapters in ``adapter/``.

    Args:
        folder: the model folder.
        model: the fine-tuned model.
        config: how it was adapted.
        save_model: writes the model folder.
        prompt_format: how prompts are encoded, which the adapters keep.
    """
    kept = folder.with_name(ADAPTER)
    if config is not None and config.save_adapter:
        save_adapter(kept, model, prompt_format=prompt_format)
    merge_and_unload(model)
    save_model(folder)
    if kept.is_dir():
        kept.rename(folder / ADAPTER)
