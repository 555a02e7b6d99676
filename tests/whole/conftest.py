"""Fixtures for end-to-end tests."""

from tests.sample_project import committed_project, make_sample, sample, servers
from tests.tasks.conftest import empty_store, environment, pytest_collection_modifyitems

__all__ = [
    "committed_project",
    "empty_store",
    "environment",
    "make_sample",
    "pytest_collection_modifyitems",
    "sample",
    "servers",
]
