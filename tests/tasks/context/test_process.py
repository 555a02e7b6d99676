"""A process is known by its id and the time it started: an id alone may belong to another process by now."""

import subprocess
import sys
from dataclasses import replace

import psutil

from tasks.context.process import ProcessIdentity


def test_a_process_is_there_until_it_ends_even_before_its_parent_has_noticed() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessIdentity.of(psutil.Process(process.pid))
    assert not identity.is_gone()
    assert process.stdin is not None
    process.stdin.close()
    psutil.Process(process.pid)
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert identity.is_gone()
    process.wait()
    assert identity.is_gone()


def test_an_id_that_was_given_to_another_process_is_not_the_process() -> None:
    current = ProcessIdentity.current()
    assert replace(current, create_time=current.create_time - 60).is_gone()


def test_of_a_process_on_another_machine_nothing_is_certain() -> None:
    elsewhere = replace(ProcessIdentity.current(), host="another-machine", pid=2**22)
    assert not elsewhere.is_gone()
    assert elsewhere.process() is None
