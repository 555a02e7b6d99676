"""Drafts of how a text may continue, which a model then checks all at once."""

from collections.abc import Sequence
from typing import Protocol

LONGEST_MATCH = 3
"""Up to this many tokens at the end of a text are looked up in it."""
LONGEST_CONTEXT = 8
"""The tokens that an assistant model is shown."""
INITIAL_DRAFT, LONGEST_DRAFT = 3, 12
"""The length of the first draft and the greatest length of a draft, in tokens."""


class AssistantModel(Protocol):
    """A small model that drafts tokens, such as an n-gram model."""

    def most_frequent_next(self, text: Sequence[int]) -> int | None:
        """The token that probably comes after ``text``, if there is one."""


class Drafts:
    """Drafts the tokens that followed the last occurrence of the text's last tokens (Saxena 2023,
    https://github.com/apoorvumang/prompt-lookup-decoding; ``prompt_lookup_num_tokens`` in ``transformers``), or those
    that an assistant model expects.

    After a draft that was entirely right, the next one is two tokens longer; after any other, one token shorter.

    Args:
        tokens: the text so far.
        assistant_model: drafts where the last ``LONGEST_MATCH`` tokens are new to the text; None: only what the text
            itself repeats is drafted.
    """

    def __init__(self, tokens: Sequence[int], assistant_model: AssistantModel | None = None) -> None:
        self._assistant_model = assistant_model
        self._tokens: list[int] = []
        self._ends: dict[tuple[int, ...], int] = {}
        self._previous: dict[tuple[int, ...], int] = {}
        self._num_tokens = INITIAL_DRAFT
        for token in tokens:
            self.append(token)

    def append(self, token: int) -> None:
        """Append a token to the text."""
        self._tokens.append(token)
        end = len(self._tokens)
        for length in range(1, min(LONGEST_MATCH, end) + 1):
            match = tuple(self._tokens[end - length :])
            if match in self._ends:
                self._previous[match] = self._ends[match]
            self._ends[match] = end

    def draft(self, max_tokens: int) -> list[int]:
        """At most ``max_tokens`` tokens that may come next."""
        num_tokens = min(self._num_tokens, max_tokens)
        if num_tokens <= 0:
            return []
        for length in range(min(LONGEST_MATCH, len(self._tokens)), 0, -1):
            if length < LONGEST_MATCH and self._assistant_model is not None:
                return self._assisted(self._assistant_model, num_tokens)
            match = tuple(self._tokens[len(self._tokens) - length :])
            if (start := self._previous.get(match)) is not None:
                return self._repeated(start, num_tokens)
        return []

    def learn(self, n_drafted: int, n_right: int) -> None:
        """Adapt the length of drafts to how much of the last one was right."""
        if n_drafted:
            change = 2 if n_right == n_drafted else -1
            self._num_tokens = min(max(self._num_tokens + change, 1), LONGEST_DRAFT)

    def _repeated(self, start: int, num_tokens: int) -> list[int]:
        """The tokens from ``start`` on; where the text ends, the draft is repeated."""
        period = len(self._tokens) - start
        return [self._tokens[start + index % period] for index in range(num_tokens)]

    def _assisted(self, assistant_model: AssistantModel, num_tokens: int) -> list[int]:
        drafted: list[int] = []
        while len(drafted) < num_tokens:
            token = assistant_model.most_frequent_next([*self._tokens[-LONGEST_CONTEXT:], *drafted])
            if token is None:
                break
            drafted.append(token)
        return drafted
