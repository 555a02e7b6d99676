"""Fixtures for tests from one end to the other."""

from tests.tasks.conftest import empty_store, environment, pytest_collection_modifyitems

__all__ = ["empty_store", "environment", "pytest_collection_modifyitems"]
