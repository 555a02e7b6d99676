"""What ``import lmcore`` offers: models trained, loaded and used in a few lines, with defaults for newcomers.

The rest of the library has no defaults: what these modules choose is documented in :mod:`lmcore.api.defaults`.
"""
