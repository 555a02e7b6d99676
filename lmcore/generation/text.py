"""The text of an answer while its tokens come: whole characters, and nothing of what it is to stop before."""

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]
REPLACEMENT = "\ufffd"


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where in ``text`` the first of the stop strings begins; None where there is none."""
    found = [place for place in map(text.find, stops) if place >= 0]
    return min(found, default=None)


def until_stop(text: str, stops: Sequence[str]) -> str:
    """``text`` up to the first stop string, or all of it."""
    return text[: first_stop(text, stops)]


def ends_at(stops: Sequence[str], decode: Decode) -> Callable[[Sequence[int]], bool] | None:
    """Whether the text of some tokens holds a stop string; None where there is none."""
    if not stops:
        return None
    return lambda tokens: first_stop(decode(tokens), stops) is not None


class TextStream:
    """Text in pieces, as tokens come; joined, they are ``until_stop(decode(tokens), stops)``.

    Args:
        decode: tokens to text; bytes that are no character (yet) become U+FFFD.
        stops: strings before which the text ends.
        may_join_bytes: whether a token is a byte of a character that has no token. Nothing of a run of them is certain
            before its end: one byte that fits nowhere makes all of them U+FFFD.
    """

    def __init__(
        self, decode: Decode, stops: Sequence[str] = (), may_join_bytes: Callable[[int], bool] = lambda _: False
    ) -> None:
        self._decode = decode
        self._may_join_bytes = may_join_bytes
        self._stops = tuple(stops)
        # What was decoded last stays as context, since a decoder may treat the beginning of a text in its own way.
        self._context: list[int] = []
        self._window: list[int] = []
        self._shown_of_window = 0
        self._held = ""
        self._has_ended = False

    def push(self, token: int) -> str:
        """The text that is certain once ``token`` has come, often none."""
        self._window.append(token)
        if self._may_join_bytes(token):
            return ""
        text = self._text_of_window()
        # A character may still be on its way: what could become another one waits.
        certain = text.rstrip(REPLACEMENT)
        piece = certain[self._shown_of_window :]
        self._shown_of_window = max(self._shown_of_window, len(certain))
        if text and len(certain) == len(text):
            self._context, self._window, self._shown_of_window = self._window, [], 0
        return self._show(piece)

    def finish(self) -> str:
        """What was held back, when no token comes any more."""
        rest = self._show(self._text_of_window()[self._shown_of_window :])
        if not self._has_ended:
            rest += self._held
        self._held, self._has_ended = "", True
        return rest

    def _text_of_window(self) -> str:
        if not self._context:
            return self._decode(self._window)
        return self._decode(self._context + self._window)[len(self._decode(self._context)) :]

    def _show(self, piece: str) -> str:
        """What of the text held back and this piece cannot be a part of a stop string."""
        if self._has_ended:
            return ""
        text = self._held + piece
        end = first_stop(text, self._stops)
        if end is not None:
            self._has_ended, self._held = True, ""
            return text[:end]
        n_held = _length_of_begun_stop(text, self._stops)
        self._held = text[len(text) - n_held :]
        return text[: len(text) - n_held]


def _length_of_begun_stop(text: str, stops: Sequence[str]) -> int:
    """The length of the longest end of ``text`` with which a stop string begins."""
    longest = min(max(map(len, stops), default=1) - 1, len(text))
    for length in range(longest, 0, -1):
        if any(stop.startswith(text[-length:]) for stop in stops):
            return length
    return 0
