"""Stage evaluate: the trained models to figures, samples and a report.  Run: ``python -m flows.evaluate``."""

import shutil
from pathlib import Path

from flows.runtime.stage import run_stage
from tasks.context.environment import Environment
from tasks.context.parameters import Parameters
from tasks.evaluate import (
    ReportInputs,
    evaluate_classifier,
    evaluate_completion,
    evaluate_language_model,
    generate_samples,
    measure_contamination,
    track_evaluation,
    write_metrics,
    write_report,
)

CLEAN, TOKENS = Path("data/clean"), Path("data/tokens")
LANGUAGE_MODEL, FINETUNED = Path("models/language-model"), Path("models/finetuned")
OUTPUT, METRICS = Path("reports/evaluate"), Path("reports/metrics.json")


def evaluate(parameters: Parameters) -> None:
    """Measure every model that there is, and say why where there is none."""
    config, finetune, split = parameters.evaluate, parameters.finetune, parameters.tokenize.split
    shutil.rmtree(OUTPUT, ignore_errors=True)
    measure_contamination(config.contamination, split, documents=CLEAN, output=OUTPUT)
    evaluate_language_model(config, tokens=TOKENS, documents=CLEAN, language_model=LANGUAGE_MODEL, output=OUTPUT)
    evaluate_classifier(config, finetune, split, documents=CLEAN, models=FINETUNED, output=OUTPUT)
    evaluate_completion(config, finetune, split, documents=CLEAN, models=FINETUNED, output=OUTPUT)
    generate_samples(config.samples, language_model=LANGUAGE_MODEL, output=OUTPUT)
    write_metrics(output=OUTPUT, metrics=METRICS)
    inputs = ReportInputs(
        clean=CLEAN,
        tokens=TOKENS,
        language_model=LANGUAGE_MODEL,
        finetuned=FINETUNED,
        pretrain_curves=Path("reports/pretrain"),
        finetune_curves=Path("reports/finetune"),
    )
    write_report(config, parameters.model_dump(mode="json"), inputs, output=OUTPUT)
    track_evaluation(Environment(), clean=CLEAN, language_model=LANGUAGE_MODEL, finetuned=FINETUNED, output=OUTPUT)


if __name__ == "__main__":
    run_stage(evaluate)
