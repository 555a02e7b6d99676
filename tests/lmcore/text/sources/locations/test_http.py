from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests

from lmcore.errors import UserError
from lmcore.text.sources.locations.http import (
    PATIENCE,
    TemporaryError,
    check_status,
    start_of_range,
    temporary_failures,
    total_size,
    version_of,
    without_secrets,
)

URL = "http://user:password@host/file.txt?key=secret"


def response(status: int = 200, **headers: str) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


def test_waits_double_up_to_a_bound() -> None:
    assert [PATIENCE.wait(n_failures, None) for n_failures in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]
    assert PATIENCE.wait(1, 7.0) == 7
    assert PATIENCE.wait(5, 7.0) == 16
    assert PATIENCE.wait(1, 1e9) == PATIENCE.longest_retry_after


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_an_overloaded_server_is_retried(status: int) -> None:
    with pytest.raises(TemporaryError) as caught:
        check_status(response(status, Retry_After="7"), URL)
    assert caught.value.retry_after == 7
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    with pytest.raises(TemporaryError) as caught:
        check_status(response(status, Retry_After=later), URL)
    assert caught.value.retry_after == pytest.approx(60, abs=5)


@pytest.mark.parametrize("status", [302, 401, 403, 404, 410, 418])
def test_a_refusal_is_an_error_that_shows_no_secrets(status: int) -> None:
    with pytest.raises(UserError, match=str(status)) as caught:
        check_status(response(status), URL)
    assert "secret" not in str(caught.value)
    assert "password" not in str(caught.value)
    assert without_secrets(URL) == "http://host/file.txt"


def test_a_failure_of_the_network_may_pass() -> None:
    with pytest.raises(TemporaryError), temporary_failures():
        raise requests.ConnectionError("refused")
    with pytest.raises(UserError), temporary_failures():
        raise requests.TooManyRedirects(URL)


def test_headers_tell_version_size_and_range() -> None:
    assert version_of(response(ETag='"1"', Last_Modified="today")) == '"1"'
    assert version_of(response(ETag='W/"1"', Last_Modified="today")) == "today"
    assert version_of(response()) is None
    assert total_size(response(Content_Length="9")) == 9
    part = response(206, Content_Length="4", Content_Range="bytes 5-8/9")
    assert (total_size(part), start_of_range(part)) == (9, 5)
    assert (total_size(response()), start_of_range(response())) == (None, None)
