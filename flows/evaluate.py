"""Stage evaluate: the trained models to metrics, samples and a report.  Run: ``python -m flows.evaluate``."""

import shutil

from flows.paths import (
    CLEAN,
    EVALUATION,
    FINETUNE_CURVES,
    FINETUNED_MODELS,
    LANGUAGE_MODEL,
    LOCK,
    METRICS,
    PRETRAIN_CURVES,
    TOKENS,
)
from flows.runtime.stage import run_stage
from tasks.context.environment import Environment
from tasks.context.parameters import Parameters
from tasks.context.prefect import flow
from tasks.context.source_lock import read_lock
from tasks.evaluate import (
    BaseModels,
    ReportInputs,
    evaluate_against_base,
    evaluate_chat_model,
    evaluate_classifier,
    evaluate_completion,
    evaluate_language_model,
    evaluate_prompts,
    generate_samples,
    measure_contamination,
    probe_models,
    track_evaluation,
    write_metrics,
    write_model_cards,
    write_report,
)


@flow
def evaluate(parameters: Parameters, environment: Environment) -> None:
    """Evaluate every trained model; for one that was not trained, report why."""
    config, finetune, split = parameters.evaluate, parameters.finetune, parameters.tokenize.split
    shutil.rmtree(EVALUATION, ignore_errors=True)
    measure_contamination(config.contamination, split, documents=CLEAN, output=EVALUATION)
    evaluate_language_model(config, tokens=TOKENS, documents=CLEAN, language_model=LANGUAGE_MODEL, output=EVALUATION)
    evaluate_classifier(config, finetune, split, documents=CLEAN, models=FINETUNED_MODELS, output=EVALUATION)
    evaluate_completion(config, finetune, split, documents=CLEAN, models=FINETUNED_MODELS, output=EVALUATION)
    evaluate_chat_model(config, finetune, split, documents=CLEAN, models=FINETUNED_MODELS, output=EVALUATION)
    base_models = BaseModels(
        environment=environment,
        language_model=LANGUAGE_MODEL,
        finetuned=FINETUNED_MODELS,
        seed=finetune.seed,
        pinned=read_lock(LOCK).files.get("finetune", ()),
    )
    folders = {"documents": CLEAN, "models": FINETUNED_MODELS, "output": EVALUATION}
    evaluate_against_base(config, finetune, split, base_models, **folders)
    evaluate_prompts(config, split, documents=CLEAN, language_model=LANGUAGE_MODEL, output=EVALUATION)
    generate_samples(config.samples, language_model=LANGUAGE_MODEL, output=EVALUATION)
    probe_models(
        config,
        finetune,
        split,
        tokens=TOKENS,
        documents=CLEAN,
        language_model=LANGUAGE_MODEL,
        models=FINETUNED_MODELS,
        output=EVALUATION,
    )
    write_metrics(output=EVALUATION, metrics=METRICS)
    inputs = ReportInputs(
        clean=CLEAN,
        tokens=TOKENS,
        language_model=LANGUAGE_MODEL,
        finetuned=FINETUNED_MODELS,
        pretrain_curves=PRETRAIN_CURVES,
        finetune_curves=FINETUNE_CURVES,
    )
    write_report(config, parameters.model_dump(mode="json"), inputs, output=EVALUATION)
    write_model_cards(config, parameters.model_dump(mode="json"), inputs, output=EVALUATION)
    track_evaluation(environment, inputs, output=EVALUATION)


if __name__ == "__main__":
    run_stage(evaluate)
