"""Hand-derived code that is faster than composed PyTorch operators on a CPU, see ``docs/cpu.md``."""
