"""The servers and the small DVC project that these tests share."""

from tests.sample_project import make_sample, sample, servers

__all__ = ["make_sample", "sample", "servers"]
