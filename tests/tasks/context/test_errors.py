"""Which errors are shown to users as a message: their own mistakes and a full machine, not defects."""

import errno
import json
import sqlite3
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from lmcore.runtime.files import file_digest
from lmcore.runtime.workers import Workers
from tasks.context.errors import explains_itself, message_of


def raised_by(program: str, name: str) -> Exception:
    """The error of a program that runs as a module of that name."""
    try:
        exec(compile(program, name, "exec"), {"__name__": name})
    except Exception as error:
        return error
    raise AssertionError(f"{program} raised nothing")


@pytest.mark.parametrize(
    ("program", "is_for_the_user"),
    [
        ("from lmcore.errors import UserError; raise UserError('params.yaml: width 7 is odd')", True),
        ("raise ValueError('shapes (3,) and (4,)')", False),
        ("open('/missing')", True),
        ("int('seven')", False),
        ("{}['key']", False),
        ("import json; json.loads('{')", False),
        ("raise AssertionError('never')", False),
    ],
)
def test_an_error_explains_itself_where_it_is_written_for_the_user_or_a_file_is_missing(
    program: str, is_for_the_user: bool
) -> None:
    assert explains_itself(raised_by(program, "lmcore.example")) is is_for_the_user


def test_an_error_that_a_library_raised_does_not_explain_itself() -> None:
    assert not explains_itself(raised_by("raise ValueError('shapes (3,) and (4,)')", "numpy.linalg"))


def test_a_missing_file_met_in_the_project_explains_itself(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        file_digest(tmp_path / "missing")
    assert explains_itself(caught.value)


def test_an_error_of_a_worker_process_is_what_it_would_be_in_one_process() -> None:
    with Workers(2) as workers:
        for function, item, is_for_user in (
            (Workers, 0, True),
            (file_digest, Path("/missing"), True),
            (int, "seven", False),
            (json.loads, "{", False),
        ):
            with pytest.raises(Exception) as caught:  # noqa: PT011
                list(workers.map(function, [item, item]))
            assert explains_itself(caught.value) is is_for_user, function


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
        (sqlite3.OperationalError("database or disk is full"), "the disk is full"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "the disk is full"),
        (MemoryError(), "not enough memory (MemoryError)"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
            "not enough m",
        ),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "not enough memory"),
    ],
)
def test_a_machine_that_has_no_room_is_one_message(error: Exception, words: str) -> None:
    assert explains_itself(error)
    assert message_of(error).startswith(words)
    assert "\n" not in message_of(error)
    wrapped = KeyError("what a library made of it")
    wrapped.__cause__ = error
    assert explains_itself(wrapped) is words.startswith(("the disk", "not enough"))


def test_other_errors_of_libraries_are_not_taken_for_a_full_machine() -> None:
    assert not explains_itself(sqlite3.OperationalError("no such table: runs"))
    assert not explains_itself(raised_by("raise RuntimeError('shapes do not fit')", "torch.nn"))
