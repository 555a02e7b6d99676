"""Existing tokenizers: missing bytes are added, those that drop characters are rejected, and losses are named."""

import json
import logging
from collections.abc import Iterator, Sequence
from itertools import chain, islice, pairwise
from typing import Any, Protocol

import tokenizers
from tokenizers import pre_tokenizers

from lmcore.errors import UserError
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

PROBES = [*map(chr, range(0x21, 0x7F)), *"éßЖωשع中の한ไक", "\U0001f642", "\U00010348"]
"""Characters that stand for text in any language: visible ASCII, and some of two, three and four bytes."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
RARE_WORD = "xqjzvkwyqxzj"
"""No token holds all of it, so that a tokenizer of parts of words has to divide it."""
MAX_CANDIDATES = 1_000
"""Letters and tokens among which one is looked for that comes back as it is."""
GAPS = {"newlines": "\n", "tabs": "\t", "runs of spaces": "  "}
ACCENTS = {"é": "e", "ü": "u", "ñ": "n"}
MARKS = ".,;:!?"


class Coder(Protocol):
    """What is asked of a tokenizer."""

    vocabulary: Vocabulary

    @property
    def unknown_id(self) -> int | None:
        """The token of what is not in the vocabulary, where there is one."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids."""

    def normalize(self, text: str) -> str:
        """A text as it is before it is divided into tokens."""


def with_all_bytes(content: str) -> tuple[str, int]:
    """A ``tokenizer.json`` whose tokens spell every byte, and how many tokens were added for it.

    Byte-level pairs get the characters of the bytes they lack; other pairs, and unigrams, get tokens for bytes, into
    which they break up what they do not know. All ids stay as they are. Tokenizers whose tokens are words, or pieces of
    known words, are left as they are: what they do not know has a token of its own.

    Raises:
        ValueError: if it has no model.
    """
    described = json.loads(content)
    model = described.get("model") if isinstance(described, dict) else None
    if not isinstance(model, dict):
        raise UserError("it has no model; choose a tokenizer.json that the library tokenizers has saved")
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


def lost_spaces(coder: Coder) -> str | None:
    """How the spaces between words are lost, in an example; None if they are kept, or if tokens of words imply them."""
    for place in range(1, len(RARE_WORD)):
        divided = f"{RARE_WORD[:place]} {RARE_WORD[place:]}"
        if _have_same_known_tokens(coder, divided, RARE_WORD):
            return f"{divided!r} and {RARE_WORD!r} have the same tokens"
    word = _known_word(coder)
    if word is None:
        return None
    text = f"{word} {word}"
    decoded = _there_and_back(coder, text)
    return None if decoded == text else f"{text!r} comes back as {decoded!r}"


def lost_features(coder: Coder) -> list[str]:
    """What a tokenizer that keeps spaces between words does not keep, in words for people."""
    return list(_lost_features(coder))


def _lost_features(coder: Coder) -> Iterator[str]:
    word = _known_word(coder)
    cases = [(letter.upper(), letter) for letter in LETTERS]
    if word is not None:
        cases.append((word.upper(), word.lower()))
    if any(_become_the_same(coder, *pair) for pair in cases if pair[0] != pair[1]):
        yield "upper case"
    if any(_become_the_same(coder, *pair) for pair in ACCENTS.items()):
        yield "accents"
    if any(_become_the_same(coder, *pair) for pair in pairwise(MARKS)):
        yield "punctuation"
    if word is None:
        return
    for name, gap in GAPS.items():
        text = f"{word}{gap}{word}"
        if _there_and_back(coder, text) != text:
            yield name
    # Compared by tokens: a mark may be unknown, but it is the same one in both texts.
    if any(coder.encode(f"{word}{mark} {word}") == coder.encode(f"{word}{mark}{word}") for mark in MARKS):
        yield "spaces beside punctuation"


def _become_the_same(coder: Coder, text: str, other: str) -> bool:
    return coder.normalize(text) == coder.normalize(other) or _have_same_known_tokens(coder, text, other)


def _have_same_known_tokens(coder: Coder, text: str, other: str) -> bool:
    """Whether they do, apart from texts that only share the token for unknown ones."""
    ids = coder.encode(text)
    return coder.unknown_id not in ids and ids == coder.encode(other)


def _there_and_back(coder: Coder, text: str) -> str:
    """Without the space that some tokenizers put at the start."""
    return coder.decode(coder.encode(text)).strip(" ")


def _known_word(coder: Coder) -> str | None:
    """A letter or a token's text; if possible one that comes back as it is, preferably as a single token."""
    texts = (coder.decode([token]).strip() for token in range(coder.vocabulary.size))
    candidates = islice(chain(LETTERS, filter(str.isalpha, texts)), MAX_CANDIDATES)
    known = [word for word in candidates if _is_known(coder, word)]
    intact = [word for word in known if _there_and_back(coder, word) == word]
    # Words spelled in bytes flow together where a decoder finds the ends of words by their tokens.
    whole = (word for word in intact if len(coder.encode(word)) == 1)
    return next(chain(whole, intact, known), None)


def _is_known(coder: Coder, word: str) -> bool:
    ids = coder.encode(word)
    return bool(ids) and coder.unknown_id not in ids


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
