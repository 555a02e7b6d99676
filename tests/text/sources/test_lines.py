import gzip
from pathlib import Path

import pytest

from lmcore.text.config import Lines, ParallelText
from lmcore.text.documents import Reading
from lmcore.text.sources.lines import plan_lines

ENGLISH = b"A dog runs .\r\n\nA man sleeps .\nTwo cats .\nlast"
GERMAN = b"Ein Hund l\xc3\xa4uft .\r\n\n\nZwei K\xe4tzchen .\nletzte\n"


def read_lines(path: Path, content: bytes) -> Reading:
    path.write_bytes(content)
    (piece,) = plan_lines(Lines(kind="lines", name="lines", path=path, split="test"))
    return piece.read()


def read_pairs(folder: Path, texts: bytes, targets: bytes) -> Reading:
    (folder / "text.en").write_bytes(texts)
    (folder / "text.de.gz").write_bytes(gzip.compress(targets))
    config = ParallelText(
        kind="parallel_text", name="pairs", path=folder / "text.en", target_path=folder / "text.de.gz", split=None
    )
    (piece,) = plan_lines(config)
    return piece.read()


def test_each_line_is_a_document_in_the_split_of_its_source(tmp_path: Path) -> None:
    reading = read_lines(tmp_path / "text.txt", b"\xef\xbb\xbf" + ENGLISH)
    assert [(document.line, document.text, document.split) for document in reading.documents] == [
        (1, "A dog runs .", "test"),
        (3, "A man sleeps .", "test"),
        (4, "Two cats .", "test"),
        (5, "last", "test"),
    ]
    assert not reading.faults


def test_a_line_that_is_not_unicode_costs_no_other(tmp_path: Path) -> None:
    reading = read_lines(tmp_path / "text.txt", b"one\ncaf\xe9\nthree\n")
    assert [document.text for document in reading.documents] == ["one", "three"]
    assert [(fault.path, fault.line, fault.reason) for fault in reading.faults] == [("text.txt", 2, "not_unicode")]


def test_lines_of_two_files_belong_together(tmp_path: Path) -> None:
    reading = read_pairs(tmp_path, ENGLISH, GERMAN)
    assert [(document.line, document.text, document.target) for document in reading.documents] == [
        (1, "A dog runs .", "Ein Hund läuft ."),
        (5, "last", "letzte"),
    ]
    assert [(fault.line, fault.reason) for fault in reading.faults] == [(3, "empty_text"), (4, "not_unicode")]


@pytest.mark.parametrize(("texts", "targets", "shorter"), [(b"a\n", b"a\nb\n", "text.en"), (b"a\nb", b"a", "text.de")])
def test_files_of_different_length_are_refused(tmp_path: Path, texts: bytes, targets: bytes, shorter: str) -> None:
    with pytest.raises(ValueError, match=rf"{shorter}\S* has 1 lines and the file beside it has more"):
        read_pairs(tmp_path, texts, targets)


def test_of_a_compressed_file_that_is_cut_off_the_lines_before_are_kept(tmp_path: Path) -> None:
    lines = [f"line {number} of many" for number in range(50_000)]
    whole = gzip.compress("\n".join(lines).encode())
    reading = read_lines(tmp_path / "text.txt.gz", whole[: len(whole) // 2])
    kept = len(reading.documents)
    assert 1_000 < kept < 50_000
    assert [document.text for document in reading.documents] == lines[:kept]
    assert [(fault.line, fault.reason) for fault in reading.faults] == [(kept + 1, "damaged_file")]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"source 'lines': there is no file .*nowhere.txt"):
        plan_lines(Lines(kind="lines", name="lines", path=tmp_path / "nowhere.txt", split=None))
