"""One file per stage: load, call lmcore, write, report."""
