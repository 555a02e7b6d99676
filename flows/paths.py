"""The files and folders of the pipeline, relative to the project's root: those that ``dvc.yaml`` names as outputs, and
the folders of comparisons."""

from pathlib import Path

PARAMETERS = Path("params.yaml")
LOCK = Path("sources.lock")

RAW = Path("data/raw")
CLEAN = Path("data/clean")
TOKENS = Path("data/tokens")
LANGUAGE_MODEL = Path("models/language-model")
FINETUNED_MODELS = Path("models/finetuned")
PRETRAIN_CURVES = Path("reports/pretrain")
FINETUNE_CURVES = Path("reports/finetune")
EVALUATION = Path("reports/evaluate")
METRICS = Path("reports/metrics.json")
LADDER = Path("reports/ladder")
SCALING = Path("reports/scaling")
SWEEPS = Path("reports/sweeps")
