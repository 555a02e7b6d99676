"""The command ``lmcore``: ``generate``, ``evaluate`` and ``convert``."""
