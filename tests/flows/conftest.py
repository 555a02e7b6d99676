"""The servers and the small DVC project that these tests share."""

from tests.sample_project import committed_project, make_sample, sample, servers

__all__ = ["committed_project", "make_sample", "sample", "servers"]
