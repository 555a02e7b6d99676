"""The encoding of a text file: given, from its byte order mark, or detected in a part of limited size.

ASCII is the same in UTF-8 and in every national encoding, so nothing has to be decided before the first non-ASCII byte.
The encoding is detected there, from the bytes that follow, and does not depend on the boundaries of chunks.
"""

import codecs
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BufferedReader

from lmcore.text.documents.document import InputError
from lmcore.text.sources.input_files.alphabets import japanese as japanese_score
from lmcore.text.sources.input_files.byte_streams import chunks_of, followed, look_ahead
from lmcore.text.sources.input_files.candidate_encodings import CANDIDATES, RARE, WIDE_ENCODINGS

UTF_8 = "utf-8"
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: UTF_8,
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks, the longer ones first."""

MIN_UTF8_LINES = 3
UTF8_BY_CHANCE = dict.fromkeys(CANDIDATES.keys() - WIDE_ENCODINGS, 0.01) | {"cp866": 0.05, "iso-8859-5": 0.05}
"""In single-byte encodings, the ratio of non-ASCII lines that may be valid UTF-8 by chance, as short words can be."""
DOUBT, RARE_DOUBT = 0.4, 2.0
"""Pseudo-counts against an encoding: a single non-ASCII character is never enough, nor are a few for a rare one."""
RIVAL_MARGIN, RIVAL_FACTOR = 0.02, 0.8
"""If another encoding that gives another text scores within this margin, the confidence is multiplied by the factor."""
MIN_CONFIDENCE = 0.75
HEAD_BYTES = 2**16
WINDOWS = (2**16, 2**18, 2**20)
"""Numbers of bytes to examine from the first non-ASCII byte: the first one that has enough non-ASCII bytes."""
ENOUGH_BYTES = 2_000
SAMPLE_BYTES = 2**14
CONTEXT_BYTES = 16
ABOVE_ASCII = re.compile(rb"[\x80-\xff]|\x1b\$")
ABOVE_ASCII_BYTES = bytes(range(0x80, 0x100))
ESCAPED = re.compile("[\udc80-\udcff]")
CONTROL = re.compile("[\x00-\x08\x0e-\x1f]")
MIN_RATIO_OF_ZEROS = 0.25
MIN_RATIO_OF_SPACES = 0.003
SPACES = " \n\t,.\u3000\u3001\u3002\uff0c"
UNDECODABLE = "lmcore.undecodable"
LONE_SURROGATE = "\udcff"
UNDECODABLE_BYTES = LONE_SURROGATE.encode(errors="surrogatepass")


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoding of a file and the confidence in it.

    Attributes:
        name: as in a reader's ``encoding``.
        codec: the name of Python's codec.
        confidence: from 0 to 1; None if it was configured, has a byte order mark, or is UTF-8.
    """

    name: str
    codec: str
    confidence: float | None

    @property
    def certainty(self) -> float:
        """The confidence, or 1."""
        return 1.0 if self.confidence is None else self.confidence

    def __str__(self) -> str:
        return self.name if self.confidence is None else f"{self.name} (detected, {self.confidence:.2f})"


Report = Callable[[Encoding], None]
"""Called with the encoding of a file, unless that is UTF-8."""


def utf8_chunks(file: BufferedReader, given: str | None, report: Report) -> Iterator[bytes]:
    """Yield the content of a text file in UTF-8, without a byte order mark.

    What cannot be decoded becomes bytes that are invalid in UTF-8, so that only its line is lost. A byte order mark
    overrides the configured encoding. A file whose encoding cannot be detected is read as UTF-8.

    Args:
        file: the file.
        given: the configured encoding; None to detect it.
        report: called with the encoding unless it is UTF-8.

    Raises:
        InputError, OSError: after everything that could be read.
    """
    head = file.peek(4)[:4]
    for mark, codec in BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            if codec == UTF_8:
                file.read(len(mark))
                yield from chunks_of(file)
            else:
                report(Encoding(codec, codec, None))
                yield from _decoded(chunks_of(file), codec)
            return
    if given is None:
        yield from _detected(file, report)
    elif codecs.lookup(given).name == UTF_8:
        yield from chunks_of(file)
    else:
        report(Encoding(given, given, None))
        yield from _decoded(chunks_of(file), given)


def detect(window: bytes, context: bytes = b"") -> Encoding | None:
    """Detect the encoding of a text that is not ASCII; returns None if the confidence is too low.

    Args:
        window: a part of the file that starts with its first non-ASCII byte; it may end inside a character.
        context: a few bytes before it.
    """
    text = _partly_decoded(context + window, UTF_8, "surrogateescape") or ""
    n_escaped = len(ESCAPED.findall(text))
    n_decoded = sum(letter > "\x7f" for letter in text) - n_escaped
    if window.startswith(b"\x1b"):
        japanese = _partly_decoded(window, "iso2022_jp")
        return (
            None
            if japanese is None
            else _scored("iso-2022-jp", "iso2022_jp", japanese_score(japanese), japanese, DOUBT)
        )
    if n_decoded >= n_escaped:
        return Encoding(UTF_8, UTF_8, None)
    return _most_likely(_sample(context + window), _utf8_line_ratio(text))


def _utf8_line_ratio(text: str) -> float:
    """The ratio of non-ASCII lines that are valid UTF-8; 0 if there are very few.

    Args:
        text: decoded as UTF-8, with lone surrogates in place of invalid bytes.
    """
    lines = [line for line in text.split("\n") if not line.isascii()]
    n_valid = sum(ESCAPED.search(line) is None for line in lines)
    return n_valid / len(lines) if n_valid >= MIN_UTF8_LINES else 0.0


def _most_likely(sample: bytes, utf8_line_ratio: float) -> Encoding | None:
    """The most likely encoding of a sample; no single-byte encoding if too many of its lines are valid UTF-8."""
    scored: list[tuple[Encoding, str]] = []
    for name, (codec, score) in CANDIDATES.items():
        is_mixed = utf8_line_ratio > UTF8_BY_CHANCE.get(name, 1.0)
        text = None if is_mixed else _partly_decoded(sample, codec)
        if text is not None:
            doubt = RARE_DOUBT if name in RARE else DOUBT
            scored.append((_scored(name, codec, score(text), text, doubt), text))
    best, text = max(scored, key=lambda each: each[0].certainty, default=(None, ""))
    if best is None:
        return None
    rivals = [other for other, read in scored if read != text and other.certainty > best.certainty - RIVAL_MARGIN]
    certainty = best.certainty * (RIVAL_FACTOR if rivals else 1.0)
    return replace(best, confidence=round(certainty, 2)) if certainty >= MIN_CONFIDENCE else None


def _scored(name: str, codec: str, score: float, text: str, doubt: float) -> Encoding:
    n_characters = sum(letter > "\x7f" for letter in text)
    return Encoding(name, codec, round(score * n_characters / (n_characters + doubt), 2))


def _detected(file: BufferedReader, report: Report) -> Iterator[bytes]:
    chunks = chunks_of(file)
    head, error = look_ahead(b"", chunks, HEAD_BYTES)
    chunks = followed(head, chunks, error)
    wide = wide_encoding(head[:HEAD_BYTES])
    if wide is not None:
        report(wide)
        yield from _decoded(chunks, wide.codec)
        return
    before = b""
    for chunk in chunks:
        known = before + chunk
        # Searching takes twenty times as long as these two tests.
        match = None if known.isascii() and b"\x1b" not in known else ABOVE_ASCII.search(known)
        if match is None:
            yield chunk
            before = known[-CONTEXT_BYTES:]
            continue
        start = max(match.start(), len(before))
        yield known[len(before) : start]
        window, error = known[start:], None
        for n_bytes in WINDOWS:
            window, error = look_ahead(window, chunks, n_bytes)
            if len(window) < n_bytes or _n_above_ascii(window[:n_bytes]) >= ENOUGH_BYTES:
                break
        encoding = detect(window[:n_bytes], known[:start][-CONTEXT_BYTES:])
        rest = followed(window, chunks, error)
        if encoding is None or encoding.codec == UTF_8:
            yield from rest
        else:
            report(encoding)
            yield from _decoded(rest, encoding.codec)


def _n_above_ascii(content: bytes) -> int:
    return len(content) - len(content.translate(None, ABOVE_ASCII_BYTES))


def wide_encoding(head: bytes) -> Encoding | None:
    """UTF-16 or UTF-32 without a byte order mark, recognized by its zero bytes; None if it is neither."""
    n_zeros = head.count(b"\0")
    without_zeros = _partly_decoded(head.replace(b"\0", b""), UTF_8)
    is_plain = without_zeros is not None and CONTROL.search(without_zeros) is None
    if not n_zeros or (is_plain and n_zeros < MIN_RATIO_OF_ZEROS * len(head)):
        return None
    best: Encoding | None = None
    most_spaces = 0.0
    for codec in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        text = _partly_decoded(head, codec)
        if not text or any(
            unicodedata.category(letter) in ("Cc", "Cn", "Co") for letter in set(text) - set("\t\n\r\f")
        ):
            continue
        # With the wrong byte order, spaces and line ends become rare characters: the right one has more of them.
        ratio = sum(text.count(letter) for letter in SPACES) / len(text)
        confidence = round(min(1.0, ratio / MIN_RATIO_OF_SPACES), 2)
        if confidence >= MIN_CONFIDENCE and ratio > most_spaces:
            best, most_spaces = Encoding(codec, codec, confidence), ratio
    return best


def _sample(window: bytes) -> bytes:
    """The first lines with non-ASCII bytes, up to about 16 KiB."""
    lines: list[bytes] = []
    n_bytes = 0
    for line in window.split(b"\n"):
        if not line.isascii():
            lines.append(line[:SAMPLE_BYTES])
            n_bytes += len(lines[-1])
        if n_bytes >= SAMPLE_BYTES:
            break
    return b"\n".join(lines)


def _partly_decoded(content: bytes, codec: str, errors: str = "strict") -> str | None:
    """Decode bytes that may end inside a character; returns None if they are invalid."""
    try:
        return codecs.getincrementaldecoder(codec)(errors).decode(content)
    except UnicodeDecodeError:
        return None


def _decoded(chunks: Iterator[bytes], codec: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(codec)(UNDECODABLE)
    for chunk in chunks:
        yield decoder.decode(chunk).encode(errors="surrogatepass")
    yield decoder.decode(b"", final=True).encode(errors="surrogatepass")


def not_unicode(error: UnicodeDecodeError, line: int | None = None) -> InputError:
    """The error for invalid bytes in the output of :func:`utf8_chunks`."""
    position = f"byte {error.start + 1}"
    if error.object[error.start : error.start + 3] == UNDECODABLE_BYTES:
        return InputError("not_unicode", f"{position} is invalid in the file's encoding", line)
    advice = "if the file is in another encoding, name it in the reader's `encoding`"
    return InputError("not_unicode", f"{position} is not UTF-8: {error.reason}; {advice}", line)


def _undecodable(error: UnicodeError) -> tuple[str, int]:
    """Replace what cannot be decoded by a lone surrogate, which is invalid in UTF-8, too."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return LONE_SURROGATE, error.end


codecs.register_error(UNDECODABLE, _undecodable)
