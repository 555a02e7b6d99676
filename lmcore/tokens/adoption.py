"""Existing tokenizers: missing bytes are added, and tokenizers that drop characters are rejected."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import tokenizers
from tokenizers import pre_tokenizers

from lmcore.errors import UserError

logger = logging.getLogger(__name__)

PROBES = [*map(chr, range(0x21, 0x7F)), *"éßЖωשع中の한ไक", "\U0001f642", "\U00010348"]
"""Characters that stand for text in any language: visible ASCII, and some of two, three and four bytes."""


def with_all_bytes(content: str) -> tuple[str, int]:
    """A ``tokenizer.json`` whose tokens spell every byte, and how many tokens were added for it.

    Byte-level pairs get the characters of the bytes they lack; other pairs, and unigrams, get tokens for bytes, into
    which they break up what they do not know. All ids stay as they are. Tokenizers whose tokens are words, or pieces of
    known words, are left as they are: what they do not know has a token of its own.
    """
    described = json.loads(content)
    model = described["model"]
    before = tokenizers.Tokenizer.from_str(content).get_vocab(with_added_tokens=True)
    if model.get("type", "BPE") == "BPE":
        is_byte_level = any("ByteLevel" in _types(described.get(part)) for part in ("normalizer", "pre_tokenizer"))
        wanted = sorted(pre_tokenizers.ByteLevel.alphabet()) if is_byte_level else _byte_tokens()
        missing = [token for token in wanted if token not in before]
        first = max(before.values(), default=-1) + 1
        # Tokens beside the model's own would be numbered anew behind what is added to it.
        beside = {token["content"]: token["id"] for token in described.get("added_tokens", [])}
        if missing:
            model["vocab"] |= beside | {token: first + place for place, token in enumerate(missing)}
    elif model.get("type") == "Unigram" and len(before) == len(model["vocab"]):
        is_byte_level = False
        missing = [token for token in _byte_tokens() if token not in before]
        lowest = min(score for _, score in model["vocab"])
        model["vocab"] += [[token, lowest - 10.0] for token in missing]
        if model.get("unk_id") is None:
            model["unk_id"] = 0  # It is asked for, and never used where all bytes are there.
    else:
        return content, 0
    if not is_byte_level and not (model.get("byte_fallback") and not missing):
        model["byte_fallback"] = True
        described["decoder"] = _with_byte_decoder(described.get("decoder"))
    return json.dumps(described, ensure_ascii=False), len(missing)


def check_nothing_is_dropped(backend: tokenizers.Tokenizer) -> None:
    """Log which token a tokenizer uses for unknown text.

    Raises:
        ValueError: if characters have no token at all.
    """
    unknown = getattr(backend.model, "unk_token", None)
    dropped, unspelled = [], []
    for probe in PROBES:
        try:
            tokens = backend.encode(probe, add_special_tokens=False).tokens
        except Exception as error:  # The library raises this class itself.
            raise UserError(f"a tokenizer that cannot encode {probe!r} ({error}): choose another one") from None
        if not tokens:
            dropped.append(probe)
        elif unknown is not None and unknown in tokens:
            unspelled.append(probe)
    if dropped:
        raise UserError(
            f"a tokenizer that drops characters ({' '.join(dropped[:8])}): choose one with tokens for all bytes, or "
            "with an unknown token"
        )
    if unspelled:
        logger.warning(
            "the tokenizer uses %s for unknown text; of %d characters tested: %s",
            unknown,
            len(PROBES),
            " ".join(unspelled[:8]),
        )


def _byte_tokens() -> list[str]:
    return [f"<0x{byte:02X}>" for byte in range(256)]


def _types(part: Any) -> Iterator[str]:
    """The types of a step, and of all steps it is made of."""
    if isinstance(part, dict):
        yield str(part.get("type"))
        for steps in (part.get("normalizers"), part.get("pretokenizers"), part.get("decoders")):
            for step in steps or []:
                yield from _types(step)


def _with_byte_decoder(decoder: dict[str, Any] | None) -> dict[str, Any]:
    """The same steps, behind one that makes characters of bytes."""
    if "ByteFallback" in _types(decoder):
        assert decoder is not None
        return decoder
    steps = [] if decoder is None else decoder["decoders"] if decoder.get("type") == "Sequence" else [decoder]
    return {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, *steps, *([] if steps else [{"type": "Fuse"}])]}
