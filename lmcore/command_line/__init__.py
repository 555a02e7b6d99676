"""The command ``lmcore``."""
