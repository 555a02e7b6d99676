"""Checks existing tokenizers: adds missing bytes, rejects those that drop characters, and finds what they lose."""

import json
import logging
from collections.abc import Iterator, Sequence
from itertools import chain, islice, pairwise
from typing import Any, Protocol

import tokenizers
from tokenizers import pre_tokenizers

from lmcore.errors import UserError
from lmcore.tokens.tokenizer.special_tokens import unknown_name
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

PROBES = [*map(chr, range(0x21, 0x7F)), *"éßЖωשع中の한ไक", "\U0001f642", "\U00010348"]
"""Characters that represent text in any language: visible ASCII, and examples of two, three and four bytes."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
RARE_WORD = "xqjzvkwyqxzj"
"""Not a single token in any subword tokenizer."""
MAX_CANDIDATES = 1_000
"""How many letters and tokens are tried to find a word that decoding restores."""
GAPS = {"newlines": "\n", "tabs": "\t", "runs of spaces": "  "}
ACCENTS = {"é": "e", "ü": "u", "ñ": "n"}
MARKS = ".,;:!?"


class Coder(Protocol):
    """The part of a tokenizer that the checks need."""

    vocabulary: Vocabulary

    @property
    def unknown_id(self) -> int | None:
        """The id of the token for unknown text; ``None`` if there is none."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids."""

    def normalize(self, text: str) -> str:
        """The text after normalization, the first step of encoding."""


def with_all_bytes(content: str) -> tuple[str, int]:
    """Add tokens for missing bytes to a ``tokenizer.json``, so that it can encode any text.

    Byte-level BPE gets the characters of the missing bytes; other BPE and unigram tokenizers get byte tokens, with
    which they encode unknown characters. Existing ids do not change. Word-level and WordPiece tokenizers, which have a
    token for unknown words, are not changed.

    Args:
        content: the content of the file.

    Returns:
        The new content, and the number of added tokens.

    Raises:
        UserError: if the file has no model.
    """
    described = json.loads(content)
    model = described.get("model") if isinstance(described, dict) else None
    if not isinstance(model, dict):
        raise UserError("it has no model; choose a tokenizer.json saved by the library tokenizers")
    before = tokenizers.Tokenizer.from_str(content).get_vocab(with_added_tokens=True)
    if model.get("type", "BPE") == "BPE":
        is_byte_level = any("ByteLevel" in _types(described.get(part)) for part in ("normalizer", "pre_tokenizer"))
        wanted = sorted(pre_tokenizers.ByteLevel.alphabet()) if is_byte_level else _byte_tokens()
        missing = [token for token in wanted if token not in before]
        first = max(before.values(), default=-1) + 1
        # Added tokens become part of the model: otherwise they would get new ids after its new tokens.
        added = {token["content"]: token["id"] for token in described.get("added_tokens", [])}
        if missing:
            model["vocab"] |= added | {token: first + index for index, token in enumerate(missing)}
    elif model.get("type") == "Unigram" and len(before) == len(model["vocab"]):
        is_byte_level = False
        missing = [token for token in _byte_tokens() if token not in before]
        lowest = min(score for _, score in model["vocab"])
        model["vocab"] += [[token, lowest - 10.0] for token in missing]
        if model.get("unk_id") is None:
            model["unk_id"] = 0  # required, although never used if all bytes have tokens
    else:
        return content, 0
    if not is_byte_level and not (model.get("byte_fallback") and not missing):
        model["byte_fallback"] = True
        described["decoder"] = _with_byte_decoder(described.get("decoder"))
    return json.dumps(described, ensure_ascii=False), len(missing)


def check_nothing_is_dropped(backend: tokenizers.Tokenizer) -> None:
    """Check that a tokenizer drops no characters, and log which token it uses for unknown text.

    Raises:
        UserError: if characters have no token.
    """
    unknown = unknown_name(backend)
    dropped, unknown_probes = [], []
    for probe in PROBES:
        try:
            tokens = backend.encode(probe, add_special_tokens=False).tokens
        except Exception as error:  # The library raises this class itself.
            raise UserError(f"a tokenizer that cannot encode {probe!r} ({error}): choose another") from None
        if not tokens:
            dropped.append(probe)
        elif unknown is not None and unknown in tokens:
            unknown_probes.append(probe)
    if dropped:
        raise UserError(
            f"a tokenizer that drops characters ({' '.join(dropped[:8])}): choose one with tokens for all bytes, or "
            "with an unknown token"
        )
    if unknown_probes:
        logger.warning(
            "The tokenizer encodes unknown text as %s, for example %s (%d of %d characters tested)",
            unknown,
            " ".join(unknown_probes[:8]),
            len(unknown_probes),
            len(PROBES),
        )


def lost_spaces(coder: Coder) -> str | None:
    """An example of how spaces between words are lost; ``None`` if they are preserved, or implied by word tokens."""
    for index in range(1, len(RARE_WORD)):
        divided = f"{RARE_WORD[:index]} {RARE_WORD[index:]}"
        if _have_same_known_tokens(coder, divided, RARE_WORD):
            return f"{divided!r} and {RARE_WORD!r} have the same tokens"
    word = _known_word(coder)
    if word is None:
        return None
    text = f"{word} {word}"
    decoded = _round_trip(coder, text)
    return None if decoded == text else f"{text!r} is decoded as {decoded!r}"


def lost_features(coder: Coder) -> list[str]:
    """The features of a text that a tokenizer does not preserve, in words; it must preserve spaces between words."""
    return list(_lost_features(coder))


def _lost_features(coder: Coder) -> Iterator[str]:
    word = _known_word(coder)
    cases = [(letter.upper(), letter) for letter in LETTERS]
    if word is not None:
        cases.append((word.upper(), word.lower()))
    if any(_are_merged(coder, *pair) for pair in cases if pair[0] != pair[1]):
        yield "upper case"
    if any(_are_merged(coder, *pair) for pair in ACCENTS.items()):
        yield "accents"
    if any(_are_merged(coder, *pair) for pair in pairwise(MARKS)):
        yield "punctuation"
    if word is None:
        return
    for name, gap in GAPS.items():
        text = f"{word}{gap}{word}"
        if _round_trip(coder, text) != text:
            yield name
    # Compared by tokens, because a mark may be unknown, but in both texts alike.
    if any(coder.encode(f"{word}{mark} {word}") == coder.encode(f"{word}{mark}{word}") for mark in MARKS):
        yield "spaces next to punctuation"


def _are_merged(coder: Coder, text: str, other: str) -> bool:
    """Whether normalization or encoding makes no difference between two texts."""
    return coder.normalize(text) == coder.normalize(other) or _have_same_known_tokens(coder, text, other)


def _have_same_known_tokens(coder: Coder, text: str, other: str) -> bool:
    """Whether two texts have the same tokens, and not because of the token for unknown text."""
    ids = coder.encode(text)
    return coder.unknown_id not in ids and ids == coder.encode(other)


def _round_trip(coder: Coder, text: str) -> str:
    """The decoded tokens of a text, without the space that some tokenizers put at the start."""
    return coder.decode(coder.encode(text)).strip(" ")


def _known_word(coder: Coder) -> str | None:
    """A letter or the text of a token, preferably one that decoding restores, and that is a single token."""
    texts = (coder.decode([token]).strip() for token in range(coder.vocabulary.size))
    candidates = islice(chain(LETTERS, filter(str.isalpha, texts)), MAX_CANDIDATES)
    known = [word for word in candidates if _is_known(coder, word)]
    intact = [word for word in known if _round_trip(coder, word) == word]
    # Some decoders find word boundaries by whole tokens, and join words that are encoded as bytes.
    whole = (word for word in intact if len(coder.encode(word)) == 1)
    return next(chain(whole, intact, known), None)


def _is_known(coder: Coder, word: str) -> bool:
    ids = coder.encode(word)
    return bool(ids) and coder.unknown_id not in ids


def _byte_tokens() -> list[str]:
    return [f"<0x{byte:02X}>" for byte in range(256)]


def _types(part: Any) -> Iterator[str]:
    """Yield the type of a step of the tokenizer, and the types of all steps in it."""
    if isinstance(part, dict):
        yield str(part.get("type"))
        for steps in (part.get("normalizers"), part.get("pretokenizers"), part.get("decoders")):
            for step in steps or []:
                yield from _types(step)


def _with_byte_decoder(decoder: dict[str, Any] | None) -> dict[str, Any]:
    """The decoder preceded by a step that converts bytes to characters."""
    if "ByteFallback" in _types(decoder):
        assert decoder is not None
        return decoder
    steps = [] if decoder is None else decoder["decoders"] if decoder.get("type") == "Sequence" else [decoder]
    return {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, *steps, *([] if steps else [{"type": "Fuse"}])]}
