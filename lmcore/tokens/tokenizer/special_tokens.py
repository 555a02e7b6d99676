"""Which tokens are special, and how a ``tokenizer.json`` says so.

A tokenizer that is trained here names its special tokens in the usual way. For others, the file itself names them: its
post-processor has what precedes and follows a text, such as ``<s> $A </s>``, and its section ``padding`` the padding
token. A tokenizer that belongs to a model of ``transformers`` is described by the files beside it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Regex, models, pre_tokenizers, processors

from lmcore.errors import UserError
from lmcore.tokens.tokenizer.vocabulary import END_OF_TEXT, MASK, PADDING, Vocabulary

USUAL_NAMES = {
    END_OF_TEXT: (END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>", "[SEP]"),
    PADDING: (PADDING, "<pad>", "[PAD]", "<|pad|>"),
    MASK: (MASK, "<mask>", "[MASK]", "<extra_id_0>"),
}
"""The names of special tokens in trained tokenizers, each followed by its names in existing tokenizers."""
DECLARATIONS = ("tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "config.json")
"""The files of ``transformers`` that name special tokens; the first one that has a token decides."""


@dataclass(frozen=True)
class SpecialTokens:
    """The names of special tokens; None if a tokenizer does not say.

    Attributes:
        start: precedes every document.
        end: follows every document.
        padding: pads the shorter sequences of a batch.
        mask: replaces tokens that a model has to predict.
    """

    start: str | None = None
    end: str | None = None
    padding: str | None = None
    mask: str | None = None


def vocabulary_of(backend: tokenizers.Tokenizer, padding: str | None) -> Vocabulary:
    """Size and special tokens of a tokenizer.

    Args:
        backend: the tokenizer.
        padding: the name of the padding token, if the file says.

    Raises:
        UserError: a special token is missing.
    """
    before, after = _template(backend)
    end = _required(backend, END_OF_TEXT, after)
    start = backend.token_to_id(before) if before is not None else None
    return Vocabulary(
        # The ids of existing tokenizers may have gaps.
        size=vocabulary_size(backend),
        end_of_text_id=end,
        padding_id=_required(backend, PADDING, padding),
        mask_id=_required(backend, MASK, None),
        start_of_text_id=None if start == end else start,
    )


def vocabulary_size(backend: tokenizers.Tokenizer) -> int:
    """One more than the largest id of a token."""
    return max(backend.get_vocab(with_added_tokens=True).values(), default=-1) + 1


def add_missing(backend: tokenizers.Tokenizer, declared: SpecialTokens) -> None:
    """Make the declared tokens special, add those of the usual ones that are missing, and store what they are."""
    before, after = _template(backend)
    end = declared.end or after or _usual(backend, END_OF_TEXT) or END_OF_TEXT
    padding = declared.padding or _padding_name(backend) or _usual(backend, PADDING) or PADDING
    if padding in (end, unknown_name(backend)):
        # These occur in texts, so padding could not be distinguished from them.
        padding = PADDING
    start = declared.start or before
    mask = _usual(backend, MASK) or MASK
    named = [name for name in (start, end, padding, mask) if name is not None]
    backend.add_special_tokens([name for name in named if not _is_special(backend, name)])
    is_usual = start in (None, end) and end == _usual(backend, END_OF_TEXT)
    if (before, after) != (None, None) or not is_usual:
        set_template(backend, start if start != end else None, end)
    backend.no_padding()
    if padding != _usual(backend, PADDING):
        backend.enable_padding(pad_id=backend.token_to_id(padding), pad_token=padding)


def set_template(backend: tokenizers.Tokenizer, start: str | None, end: str | None) -> None:
    """Store what precedes and what follows a text in the tokenizer's post-processor."""
    names = [name for name in (start, end) if name is not None]
    ids = [(name, backend.token_to_id(name)) for name in dict.fromkeys(names)]
    single = [part for part in (start, "$A", end) if part is not None]
    backend.post_processor = processors.TemplateProcessing(
        single=single, pair=[*single, "$B:1", *([f"{end}:1"] if end else [])], special_tokens=ids
    )


def declared_special_tokens(folder: Path, backend: tokenizers.Tokenizer) -> SpecialTokens:
    """The special tokens that the files of ``transformers`` in a folder name, by name or by id.

    Raises:
        UserError: a file is not a JSON object, or names a token that the tokenizer does not have.
    """
    found: dict[str, str] = {}
    for file in DECLARATIONS:
        if (folder / file).exists():
            for role, name in _declared_in(folder / file, backend).items():
                found.setdefault(role, name)
    return SpecialTokens(
        start=found.get("bos") or found.get("cls"),
        end=found.get("eos") or found.get("sep"),
        padding=found.get("pad"),
        mask=found.get("mask"),
    )


def belongs_to_model(path: Path) -> bool:
    """Whether a ``tokenizer.json`` lies in the folder of a model, of ``transformers`` or of this library."""
    config = path.with_name("config.json")
    return config.exists() and not {"model_type", "model"}.isdisjoint(read_object(config))


def read_object(path: Path) -> dict[str, Any]:
    """The content of a JSON file.

    Raises:
        UserError: it is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a JSON object")
    return content


def guard_special_names(backend: tokenizers.Tokenizer) -> None:
    """Change the pre-tokenizer, if necessary, so that no text is encoded as a special token.

    A unigram or word tokenizer takes the name of a special token in a text for that token, which is a part of its
    vocabulary. Such names are split after their first character, which changes no other text.
    """
    unknown = unknown_name(backend)
    special = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}
    unsafe = sorted(name for name in special - {unknown} if _yields(backend, name))
    if not unsafe:
        return
    firsts = [f"{re.escape(name[0])}(?={re.escape(name[1:])})" for name in unsafe if len(name) > 1]
    split = pre_tokenizers.Split(Regex("|".join(firsts)), "isolated")
    own = [] if backend.pre_tokenizer is None else [backend.pre_tokenizer]
    backend.pre_tokenizer = pre_tokenizers.Sequence([*own, split])


def unknown_name(backend: tokenizers.Tokenizer) -> str | None:
    """The name of the token for unknown text; None if there is none."""
    if not isinstance(backend.model, models.Unigram):
        return getattr(backend.model, "unk_token", None)
    identity = json.loads(backend.to_str())["model"].get("unk_id")
    return None if identity is None else backend.id_to_token(identity)


def _yields(backend: tokenizers.Tokenizer, name: str) -> bool:
    return backend.token_to_id(name) in backend.encode(f"a {name} a{name}a", add_special_tokens=False).ids


def _declared_in(path: Path, backend: tokenizers.Tokenizer) -> dict[str, str]:
    content, found = read_object(path), {}
    for role in ("bos", "cls", "eos", "sep", "pad", "mask"):
        value: Any = content.get(f"{role}_token")
        name = value.get("content") if isinstance(value, Mapping) else value
        if name is None:
            identity: Any = content.get(f"{role}_token_id")
            # Several tokens may end a text; the first is the one that follows a document.
            identity = identity[0] if isinstance(identity, Sequence) and identity else identity
            name = backend.id_to_token(identity) if isinstance(identity, int) and identity >= 0 else None
        elif backend.token_to_id(name) is None:
            # Tokens that only this file has are added after those of the tokenizer, as in transformers.
            continue
        if name is not None:
            found[role] = str(name)
    return found


def _template(backend: tokenizers.Tokenizer) -> tuple[str | None, str | None]:
    """What the post-processor puts before and after a text: the names of special tokens."""
    if backend.post_processor is None:
        return None, None
    described = json.loads(backend.post_processor.__getstate__())
    steps = described.get("processors", [described])
    for step in steps:
        if step["type"] in ("BertProcessing", "RobertaProcessing"):
            return str(step["cls"][0]), str(step["sep"][0])
        if step["type"] == "TemplateProcessing":
            return _around(step["single"])
    return None, None


def _around(pieces: Sequence[Mapping[str, Any]]) -> tuple[str | None, str | None]:
    names = [piece["SpecialToken"]["id"] if "SpecialToken" in piece else None for piece in pieces]
    text = names.index(None) if None in names else len(names)
    before, after = names[:text], names[text + 1 :]
    return (before[-1] if before else None), (after[0] if after else None)


def _padding_name(backend: tokenizers.Tokenizer) -> str | None:
    return None if backend.padding is None else str(backend.padding["pad_token"])


def _usual(backend: tokenizers.Tokenizer, token: str) -> str | None:
    return next((name for name in USUAL_NAMES[token] if backend.token_to_id(name) is not None), None)


def _is_special(backend: tokenizers.Tokenizer, name: str) -> bool:
    identity = backend.token_to_id(name)
    added = backend.get_added_tokens_decoder().get(identity) if identity is not None else None
    return added is not None and added.special


def _required(backend: tokenizers.Tokenizer, token: str, name: str | None) -> int:
    identity = backend.token_to_id(name or _usual(backend, token) or token)
    if identity is None:
        raise UserError(
            f"the tokenizer has no token {name or token}: train one that has it, or load it with Tokenizer.adopt"
        )
    return int(identity)
