"""Streams the text of a completion in whole characters, without any part of a stop string."""

from collections.abc import Callable, Sequence

from lmcore.generation.surprisal import REPLACEMENT_CHARACTER, Decode


def find_stop_string(text: str, stop_strings: Sequence[str]) -> int | None:
    """The index of the first stop string in ``text``; None if there is none."""
    found = [index for index in map(text.find, stop_strings) if index >= 0]
    return min(found, default=None)


def truncate_at_stop_string(text: str, stop_strings: Sequence[str]) -> str:
    """``text`` before the first stop string, or all of it."""
    return text[: find_stop_string(text, stop_strings)]


def stop_string_check(stop_strings: Sequence[str], decode: Decode) -> Callable[[Sequence[int]], bool] | None:
    """A function that checks the text of tokens for a stop string; None if there are no stop strings."""
    if not stop_strings:
        return None
    return lambda tokens: find_stop_string(decode(tokens), stop_strings) is not None


class TextStreamer:
    """Streams text in chunks as tokens arrive; joined, they are the decoded text before the first stop string.

    Args:
        decode: decodes tokens; bytes that are not a whole character become U+FFFD.
        stop_strings: strings before which the text ends.
        may_join_bytes: whether a token is one byte of a character that has no token of its own. The text of a run of
            such tokens is known only at its end, since one invalid byte turns all of them into U+FFFD.
    """

    def __init__(
        self, decode: Decode, stop_strings: Sequence[str] = (), may_join_bytes: Callable[[int], bool] = lambda _: False
    ) -> None:
        self._decode = decode
        self._may_join_bytes = may_join_bytes
        self._stop_strings = tuple(stop_strings)
        # The tokens decoded last are kept as context, since a tokenizer may treat the beginning of a text differently.
        self._context: list[int] = []
        self._window: list[int] = []
        self._n_sent_of_window = 0
        self._held_text = ""
        self._has_ended = False

    def put(self, token: int) -> str:
        """The text that is certain after ``token``, often none."""
        self._window.append(token)
        if self._may_join_bytes(token):
            return ""
        text = self._decode_window()
        # Incomplete characters wait for their remaining bytes.
        certain = text.rstrip(REPLACEMENT_CHARACTER)
        chunk = certain[self._n_sent_of_window :]
        self._n_sent_of_window = max(self._n_sent_of_window, len(certain))
        if text and len(certain) == len(text):
            self._context, self._window, self._n_sent_of_window = self._window, [], 0
        return self._hold_back(chunk)

    def end(self) -> str:
        """The text held back so far, after the last token."""
        rest = self._hold_back(self._decode_window()[self._n_sent_of_window :])
        if not self._has_ended:
            rest += self._held_text
        self._held_text, self._has_ended = "", True
        return rest

    def _decode_window(self) -> str:
        if not self._context:
            return self._decode(self._window)
        return self._decode(self._context + self._window)[len(self._decode(self._context)) :]

    def _hold_back(self, chunk: str) -> str:
        """Add a chunk to the held-back text, and return what cannot be part of a stop string."""
        if self._has_ended:
            return ""
        text = self._held_text + chunk
        end = find_stop_string(text, self._stop_strings)
        if end is not None:
            self._has_ended, self._held_text = True, ""
            return text[:end]
        n_held = _length_of_partial_stop_string(text, self._stop_strings)
        self._held_text = text[len(text) - n_held :]
        return text[: len(text) - n_held]


def _length_of_partial_stop_string(text: str, stop_strings: Sequence[str]) -> int:
    """The length of the longest suffix of ``text`` that is a prefix of a stop string."""
    longest = min(max(map(len, stop_strings), default=1) - 1, len(text))
    for length in range(longest, 0, -1):
        if any(stop_string.startswith(text[-length:]) for stop_string in stop_strings):
            return length
    return 0
