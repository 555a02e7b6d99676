from collections.abc import Iterator

import pytest

from tests.lmcore.text.sources.servers import FileServer, serving


@pytest.fixture(scope="module")
def running() -> Iterator[FileServer]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running: FileServer) -> FileServer:
    running.clear()
    return running
