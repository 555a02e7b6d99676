"""A model of every family is pretrained, fine-tuned, evaluated and served, or the reason is given."""

import json
from pathlib import Path
from typing import Any

import pytest

from lmcore.config.classification import ClassificationTrainingConfig
from lmcore.config.completion import CompletionTrainingConfig, SummaryExamples
from lmcore.config.training import PretrainConfig, TrainingConfig
from lmcore.generation import Generator
from lmcore.models.folder import load_generative_model
from tasks.evaluate import evaluate_language_model, generate_samples, measure_contamination
from tasks.finetune import FinetuneFiles, finetune_classifier, finetune_completion
from tasks.pretrain import pretrain_language_model
from tests.lmcore.generation.toy_models import settings
from tests.lmcore.models.hmm.test_hmm import CONFIG as HMM
from tests.lmcore.models.lstm.test_lstm import CONFIG as LSTM
from tests.lmcore.models.small_models import CONFIGS as TRANSFORMERS
from tests.lmcore.training.trainer import CONFIG as TRAINING
from tests.sample_project import PROJECT
from tests.tasks.evaluate.evaluated_project import CONFIG, SPLIT, write_documents, write_models
from tests.tasks.tracking.trainings import runs, store_of

SHORT = TRAINING | {
    "max_steps": 2,
    "logging_steps": 1,
    "eval_steps": 2,
    "save_steps": 2,
    "ema_decay": 0.9,
}
SCRATCH = {"seed": 1, "init_from": "scratch", "objective": None}
NGRAMS = {"longest": 2, "num_buckets": 64, "max_tokens": 32, "inverse_regularization": 1.0}
LORA = {"rank": 2, "alpha": 2.0, "dropout": 0.0, "save_adapter": False}
FAMILIES: dict[str, Any] = {
    "ngram": {"family": "ngram", "order": 3},
    "hmm": HMM.model_dump(),
    "lstm": LSTM.model_dump(),
    **{name: config.model_dump() | {"max_position_embeddings": 64} for name, config in TRANSFORMERS.items()},
}
WITHOUT_FEATURES = {"ngram", "hmm"}
NOT_GENERATIVE = {"ngram", "bert"}
KINDS = {
    "bert": "masked-language-model",
    **dict.fromkeys(("encoder_decoder", "t5"), "span-restoring-model"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_every_family_goes_the_whole_way(family: str, environment: Any, tmp_path: Path) -> None:
    write_models(tmp_path, write_documents(tmp_path / "clean"))
    config = PretrainConfig.model_validate_json(
        json.dumps(
            SCRATCH
            | {"mask_documents": family in TRANSFORMERS}
            | {"sequence_length": 24, "model": FAMILIES[family], "training": SHORT}
        )
    )
    folders = {"tokens": tmp_path / "tokens", "model_folder": tmp_path / "model", "curves": tmp_path / "curves"}
    pretrain_language_model(config, environment, **folders)
    (run,) = runs(environment)
    assert run.info.status == "FINISHED"
    assert run.data.params["model.family"] == family
    reasons = finetune(family, environment, tmp_path)
    if family == "lstm":
        _, classifier, _ = runs(environment)
        names = [entry.dataset.name.rsplit("/")[-1] for entry in classifier.inputs.dataset_inputs]
        assert names == ["clean", "vectors.txt"]
    assert (reasons["classifier"] is not None) == (family in WITHOUT_FEATURES)
    assert (reasons["completion"] is not None) == (family in NOT_GENERATIVE)
    assert_versions_answer(environment, family, reasons)
    found = evaluate(tmp_path)
    kind = {"bert": "masked", **dict.fromkeys(("encoder_decoder", "t5"), "encoder_decoder")}.get(family, "causal")
    measure = {"masked": "pseudo_bits_per_byte", "encoder_decoder": "bits_per_masked_token"}.get(kind, "bits_per_byte")
    assert found["kind"] == kind
    for model in {"model", "unigram", "ngram"} & set(found["metrics"]):
        assert 0 < found["metrics"][model][measure]["value"] < 20
    if family == "ngram":
        assert found["names"]["model"] == "3-gram"
    if family == "bert":
        return
    generator = Generator(*load_generative_model(tmp_path / "model"))
    assert generator.complete(["array"], settings(max_new_tokens=3))[0].text is not None


def assert_versions_answer(environment: Any, family: str, reasons: dict[str, str | None]) -> None:
    """Every registered version is of the kind that its name says, says what it is, and answers its own example."""
    import mlflow

    client = store_of(environment)
    versions = {version.name: version for version in client.search_model_versions()}
    assert set(versions) == {KINDS.get(family, "language-model")} | {name for name in reasons if reasons[name] is None}
    for name, version in versions.items():
        assert f"of family {family}" in version.description
        model = mlflow.pyfunc.load_model(f"models:/{name}/1")
        answer = model.predict(model.input_example)
        (column,) = {"label", "filled", "completion"} & set(answer)
        assert isinstance(answer[column][0], str)
        if column == "filled":
            assert "[MASK]" not in answer["filled"][0]
            assert len(answer["candidates"][0]) == 1
    assert all(run.info.run_name.split()[1] == family for run in runs(environment))


def write_vectors(path: Path) -> Path:
    path.write_text(
        "".join(f"{letter}{f' {number}.5' * LSTM.embedding_size}\n" for number, letter in enumerate("abcde"))
    )
    return path


def finetune(family: str, environment: Any, folder: Path) -> dict[str, str | None]:
    """Why each fine-tuned model was not trained; None if it was."""
    lora = LORA if family == "gpt" else None
    training = TrainingConfig.model_validate_json(json.dumps(SHORT))
    classification = ClassificationTrainingConfig.model_validate(
        {
            "label_column": "label",
            "truncation_side": "right",
            "pooling": "mean_max",
            "problem_type": None,
            "class_weights": "balanced",
            "max_tokens": 16,
            "max_train_samples": 40,
            "min_examples_per_label": 2,
            "dropout": 0.1,
            "init_from": "scratch" if family == "lstm" else "language_model",
            "ensemble_size": 2 if family == "lstm" else 1,
            "ngram_classifier": None if family == "lstm" else NGRAMS,
            "vectors": write_vectors(folder / "vectors.txt") if family == "lstm" else None,
            "lora": lora,
            "frozen_layers": None,
            "training": training,
        }
    )
    completion = CompletionTrainingConfig(
        examples=SummaryExamples(
            kind="summary", min_summary_characters=5, max_summary_characters=200, min_body_characters=10
        ),
        prompt=PROJECT / "prompts/completion/summary.jinja",
        truncated_field="text",
        truncation_side="right",
        max_prompt_tokens=20,
        max_completion_tokens=8,
        max_train_samples=40,
        init_from="language_model",
        lora=classification.lora,
        frozen_layers=None,
        training=training,
    )
    steps = {"classifier": (finetune_classifier, classification), "completion": (finetune_completion, completion)}
    reasons = {}
    for name, (finetune_one, config) in steps.items():
        files = FinetuneFiles(folder / "clean", folder / "model", folder / f"new/{name}", folder / f"new-curves/{name}")
        reasons[name] = finetune_one(config, SPLIT, 1, environment, files)
        assert files.model_folder.exists() == (reasons[name] is None)
    return reasons


def evaluate(folder: Path) -> dict[str, Any]:
    output = folder / "out"
    measure_contamination(CONFIG.contamination, SPLIT, documents=folder / "clean", output=output)
    evaluate_language_model(
        CONFIG, tokens=folder / "tokens", documents=folder / "clean", language_model=folder / "model", output=output
    )
    generate_samples(CONFIG.samples, language_model=folder / "model", output=output)
    found: dict[str, Any] = json.loads((output / "language_model.json").read_text())
    return found
