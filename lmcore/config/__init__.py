"""Settings, one file per section of ``params.yaml``; no defaults: every value is written there."""
