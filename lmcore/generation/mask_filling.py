"""Fills masks in a text: each with its most probable token or, with an encoder-decoder, with a span."""

from typing import Any

import torch

from lmcore.errors import UserError
from lmcore.generation.generator import AnyPrompt, Generator
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

MASK = "[MASK]"
"""How a mask is written in a text."""


class SpanRestoringGenerator(Generator):
    """A pretrained encoder-decoder, which restores the masked spans of a text."""

    def encode(self, prompt: AnyPrompt) -> list[int]:
        """The tokens of the text, with the mask token for each mask."""
        return prompt if isinstance(prompt, list) else encode_with_masks(self.tokenizer, str(prompt))


def encode_with_masks(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens of a text, in which each ``[MASK]``, with the space before it, becomes the mask token."""
    first, *others = text.split(MASK)
    tokens = tokenizer.encode(first.removesuffix(" ") if others else first)
    for number, part in enumerate(others, start=1):
        tokens.append(tokenizer.vocabulary.mask_id)
        tokens += tokenizer.encode(part.removesuffix(" ") if number < len(others) else part)
    return tokens


@torch.inference_mode()
def fill_masks(model: Any, tokenizer: Tokenizer, text: str, n_candidates: int) -> dict[str, Any]:
    """The text with the most probable token for each mask, and each mask's candidates with their probabilities.

    Raises:
        ValueError: if the text has no mask, or is longer than the model can read.
    """
    vocabulary = tokenizer.vocabulary
    tokens = torch.tensor([vocabulary.start_id, *encode_with_masks(tokenizer, text)])
    masks = (tokens == vocabulary.mask_id).nonzero().flatten()
    if not len(masks):
        raise UserError(f"there is no mask in {text[:80]!r}: write {MASK} for each missing token")
    logits = model(tokens.unsqueeze(0))[0, masks]
    logits[:, vocabulary.special_ids] = -torch.inf
    top = logits.softmax(dim=-1).topk(min(n_candidates, logits.size(-1)), dim=-1)
    tokens[masks] = top.indices[:, 0]
    candidates = [
        {tokenizer.decode([token]): probability for token, probability in zip(indices, values, strict=True)}
        for indices, values in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]
    return {"filled": tokenizer.decode(tokens[1:].tolist()), "candidates": candidates}
