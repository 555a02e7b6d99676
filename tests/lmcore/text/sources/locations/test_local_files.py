import os
import socket
from pathlib import Path

import pytest

from lmcore.config.collect import Source
from lmcore.config.locations import LocalFiles
from lmcore.config.readers import Reader, WholeFiles
from lmcore.text.sources.locations.locate import Located, locate


def find(*paths: Path | str, reader: Reader | None = None) -> Located:
    source = Source(
        name="notes",
        location=LocalFiles(kind="local", paths=tuple(map(str, paths))),
        reader=reader or WholeFiles(kind="whole_files", encoding=None, divide=None),
        split=None,
        weight=1.0,
        license=None,
        attribution=None,
    )
    return locate(source, Path("unused"))


def names(located: Located) -> list[str]:
    return [file.name for file in located.files]


def read_errors(located: Located) -> list[tuple[str, str]]:
    return [(read_error.path, read_error.reason) for read_error in located.read_errors]


def write(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write(tmp_path / "tree", "b.md", "a.txt", "one/c.md", "one/deep/d.md", "two/e.txt", ".git/f.md", "one/.g.md")


def test_a_folder_means_all_files_in_it_except_hidden_ones(tree: Path) -> None:
    located = find(tree)
    assert names(located) == ["a.txt", "b.md", "one/c.md", "one/deep/d.md", "two/e.txt"]
    assert located.read_errors == ()
    assert located.revision is None
    for file in located.files:
        assert file.path.read_text() == file.name
        assert file.size == len(file.name)


def test_a_file_is_called_by_its_name(tree: Path) -> None:
    assert names(find(tree / "one/deep/d.md")) == ["d.md"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*", ["a.txt", "b.md", "one/c.md", "one/deep/d.md", "two/e.txt"]),
        ("o*", ["one/c.md", "one/deep/d.md"]),
        ("*/d*", ["one/deep/d.md"]),
        ("**/d*p", ["one/deep/d.md"]),
        ("one/*", ["c.md", "deep/d.md"]),
        ("*.md", ["b.md"]),
        ("**/*.md", ["b.md", "one/c.md", "one/deep/d.md"]),
        ("**", ["a.txt", "b.md", "one/c.md", "one/deep/d.md", "two/e.txt"]),
        ("one/**/*.md", ["c.md", "deep/d.md"]),
        ("[ot]*/?.*", ["one/c.md", "two/e.txt"]),
        ("**/deep/*", ["one/deep/d.md"]),
        ("*/**/d.md", ["one/deep/d.md"]),
        (".git/*", ["f.md"]),
    ],
)
def test_a_pattern_means_what_it_matches_named_from_its_fixed_part(tree: Path, pattern: str, found: list[str]) -> None:
    assert names(find(tree / pattern)) == found


def test_a_name_with_wildcards_is_itself_where_there_is_such_a_file(tmp_path: Path) -> None:
    write(tmp_path, "a[1].txt", "a1.txt")
    assert names(find(tmp_path / "a[1].txt")) == ["a[1].txt"]


def test_what_cannot_be_read_in_a_folder_that_a_pattern_matches_is_a_read_error(tree: Path) -> None:
    (tree / "one/broken.txt").symlink_to("nowhere")
    (tree / "one/deep/up").symlink_to("..")
    located = find(tree / "o*")
    assert names(located) == ["one/c.md", "one/deep/d.md"]
    assert read_errors(located) == [("one/broken.txt", "unreadable_file"), ("one/deep/up", "symlink_loop")]
    assert read_errors(find(tree / "t*")) == []


def test_a_pattern_does_not_lead_out_of_its_folder(tree: Path) -> None:
    with pytest.raises(ValueError, match=r"source 'notes': '\.\.' follows a wildcard in .*: put it before"):
        find(tree / "*/../../secret.txt")
    assert names(find(tree / "two/../one/*.md")) == ["c.md"]


@pytest.mark.parametrize("path", ["nowhere", "nowhere/*.md", "*.pdf", "empty", "hidden", "e*", "h*y", "hid*"])
def test_a_path_that_leads_to_no_file_is_an_error_that_names_it(tree: Path, path: str) -> None:
    (tree / "empty").mkdir()
    write(tree, "hidden/.only")
    with pytest.raises(ValueError, match=f"source 'notes': .*{path.partition('/')[0].lstrip('*')}"):
        find(tree / "a.txt", tree / path)


def test_links_are_followed_only_inside_their_folder(tree: Path) -> None:
    write(tree.parent, "outside/secret.md")
    (tree / "leak.md").symlink_to(tree.parent / "outside/secret.md")
    (tree / "leaks").symlink_to(tree.parent / "outside")
    (tree / "shown.md").symlink_to(".git/f.md")
    (tree / "again.md").symlink_to("b.md")
    (tree / "0").symlink_to("one")
    located = find(tree)
    assert names(located) == ["a.txt", "b.md", "one/c.md", "one/deep/d.md", "shown.md", "two/e.txt"]
    assert read_errors(located) == [("leak.md", "outside_folder"), ("leaks", "outside_folder")]
    assert str(tree.parent) not in "".join(read_error.detail for read_error in located.read_errors)


def test_a_pattern_sees_files_under_the_names_that_links_give_them(tree: Path) -> None:
    (tree / "linked").symlink_to("one")
    (tree / "broken.txt").symlink_to("nowhere")
    assert names(find(tree / "l*/*.md")) == ["linked/c.md"]
    assert read_errors(find(tree / "*.md")) == []
    assert read_errors(find(tree / "**/*.md")) == []
    assert read_errors(find(tree / "*.t*t")) == [("broken.txt", "unreadable_file")]


def test_links_that_lead_in_circles_or_nowhere_are_read_errors(tree: Path) -> None:
    (tree / "self").symlink_to("self")
    (tree / "one/up").symlink_to("..")
    (tree / "one/two").symlink_to("../two")
    (tree / "two/one").symlink_to("../one")
    (tree / "gone").symlink_to("nowhere")
    located = find(tree)
    assert names(located) == ["a.txt", "b.md", "one/c.md", "one/deep/d.md", "two/e.txt"]
    assert {("self", "symlink_loop"), ("one/up", "symlink_loop"), ("gone", "unreadable_file")} <= set(
        read_errors(located)
    )
    assert {reason for path, reason in read_errors(located) if path != "gone"} == {"symlink_loop"}


def test_folders_full_of_links_to_each_other_end_soon(tmp_path: Path) -> None:
    folders = [write(tmp_path / f"{i:02d}", "file.txt") for i in range(30)]
    for folder in folders:
        for other in folders:
            (folder / f"to-{other.name}").symlink_to(other)
    assert names(find(tmp_path)) == [f"{i:02d}/file.txt" for i in range(30)]


def test_what_is_not_a_file_is_skipped(tree: Path) -> None:
    os.mkfifo(tree / "pipe.md")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tree / "socket"))
        located = find(tree)
    assert read_errors(located) == [("pipe.md", "not_a_file"), ("socket", "not_a_file")]
    assert "b.md" in names(located)


def test_a_file_reached_twice_counts_once(tree: Path) -> None:
    located = find(tree / "one/c.md", tree, tree / "**/*.md", tree / "one/../b.md")
    assert names(located) == ["a.txt", "b.md", "one/c.md", "one/deep/d.md", "two/e.txt"]


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    write(tmp_path, "a/notes/README.md", "b/notes/README.md", "b/notes/other.md")
    assert names(find(tmp_path / "a/notes", tmp_path / "b/notes")) == [
        "a/notes/README.md",
        "b/notes/README.md",
        "other.md",
    ]


def test_a_name_that_is_not_unicode_is_a_read_error(tree: Path) -> None:
    try:
        (tree / os.fsdecode(b"caf\xe9.md")).write_text("text")
    except OSError:
        pytest.skip("this file system takes no such name")
    located = find(tree)
    assert read_errors(located) == [("caf\\udce9.md", "not_unicode")]
    assert "b.md" in names(located)


def test_deep_folders_are_walked_to_the_end(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 400)
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(400):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    write(deep, "file.txt")
    assert names(find(tmp_path)) == ["d/" * 400 + "file.txt"]


def test_folders_that_may_not_be_read_are_read_errors(tree: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (tree / "two").chmod(0)
    try:
        located = find(tree)
    finally:
        (tree / "two").chmod(0o755)
    assert read_errors(located) == [("two", "unreadable_file")]


REVIEWS = {"train/pos/1.txt": "pos", "train/pos/deep/2.txt": "pos", "train/neg/1.txt": "neg", "train/neg/3.txt": "neg"}


@pytest.mark.parametrize(
    "paths",
    [
        ["train"],
        ["train/"],
        ["./train/../train"],
        ["train/pos", "train/neg"],
        ["train/neg/", "./train/pos"],
        ["train/*/**/*.txt"],
        ["train/**"],
        ["train/*"],
        ["train/[np]*"],
        ["train/p*", "train/neg"],
        ["train/*", "train"],
        ["train/pos/**", "train/neg/**/*.txt"],
        ["train/pos/**/*.txt", "train/neg"],
        ["train/pos/1.txt", "train/pos/deep/2.txt", "train/neg/1.txt", "train/neg/3.txt"],
        ["train/pos/1.txt", "train/pos", "train/neg", "train"],
        ["train/neg", "train"],
        ["linked/pos", "linked/neg"],
    ],
)
@pytest.mark.parametrize("is_absolute", [False, True])
def test_the_label_is_the_first_folder_however_paths_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paths: list[str], is_absolute: bool
) -> None:
    write(tmp_path, *REVIEWS)
    (tmp_path / "linked").symlink_to("train")
    monkeypatch.chdir(tmp_path)
    located = find(*(tmp_path / path if is_absolute else path for path in paths))
    assert {f"train/{file.name}": file.folder for file in located.files} == REVIEWS


def test_folders_that_lie_in_different_ones_each_begin_anew(tmp_path: Path) -> None:
    write(tmp_path, "a/train/pos/1.txt", "b/neg/1.txt", "b/top.txt")
    located = find(tmp_path / "a/train", tmp_path / "b")
    assert {file.name: file.folder for file in located.files} == {
        "pos/1.txt": "pos",
        "neg/1.txt": "neg",
        "top.txt": None,
    }


def test_folders_that_only_tell_names_apart_are_no_labels(tmp_path: Path) -> None:
    write(tmp_path, "a/x/pos/1.txt", "b/y/pos/1.txt", "b/y/0.txt")
    located = find(tmp_path / "a/x", tmp_path / "b/y")
    assert {file.name: file.folder for file in located.files} == {
        "x/pos/1.txt": "pos",
        "y/pos/1.txt": "pos",
        "0.txt": None,
    }


def test_one_folder_of_files_has_no_labels(tmp_path: Path) -> None:
    write(tmp_path, "pos/1.txt", "pos/2.txt")
    assert {file.folder for file in find(tmp_path / "pos").files} == {None}
    assert {file.folder for file in find(tmp_path / "pos/1.txt", tmp_path / "pos/2.txt").files} == {None}
