from pathlib import Path

import pytest
from pydantic import ValidationError

from lmcore.text.config import TextFolder
from lmcore.text.documents import Reading
from lmcore.text.sources.text_files import plan_files


def read(folder: Path, pattern: str = "**/*.txt") -> Reading:
    config = TextFolder(kind="text_folder", name="notes", path=folder, pattern=pattern, split=None)
    (piece,) = plan_files(config)
    return piece.read()


def write(folder: Path, **files: bytes) -> None:
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".txt").write_bytes(content)


def test_each_file_is_a_document_labeled_with_its_first_folder(tmp_path: Path) -> None:
    write(tmp_path, top=b"one", verse__deep__b=b"three", prose__a=b"two")
    (tmp_path / "ignored.md").write_text("not a text file")
    found = [(document.path, document.label, document.name, document.text) for document in read(tmp_path).documents]
    assert found == [
        ("prose/a.txt", "prose", "a", "two"),
        ("top.txt", None, "top", "one"),
        ("verse/deep/b.txt", "verse", "b", "three"),
    ]


def test_unusable_files_are_located_and_lose_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, bad=b"caf\xe9", empty=b"", good="é\r\n".encode(), marked=b"\xef\xbb\xbfmarked")
    (tmp_path / "dangling.txt").symlink_to(tmp_path / "nowhere")
    reading = read(tmp_path)
    assert [document.text for document in reading.documents] == ["é\n", "marked"]
    assert [(fault.path, fault.reason) for fault in reading.faults] == [
        ("bad.txt", "not_unicode"),
        ("empty.txt", "empty_text"),
    ]
    assert "byte 3" in reading.faults[0].detail


def test_a_folder_without_matching_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no file in .* matches '\*\*/\*.txt'"):
        read(tmp_path)


@pytest.mark.parametrize("pattern", ["../*.txt", "/etc/*", "a/../../b"])
def test_a_pattern_stays_in_its_folder(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ValidationError, match="does not lead out of the folder"):
        read(tmp_path, pattern)
