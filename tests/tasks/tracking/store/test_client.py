import pytest

from tasks.tracking.store.client import without_password


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://me:secret@host:5000/path", "https://host:5000/path"),
        ("postgresql://me:s@cret@host/db", "postgresql://host/db"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_no_password_is_shown(uri, shown):
    assert without_password(uri) == shown
