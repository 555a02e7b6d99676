"""The tasks of the stage on tiny models and documents: real files, real models, real generation."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from lmcore.config.classification import ClassificationTrainingConfig
from lmcore.config.completion import CompletionTrainingConfig, SummaryExamples
from lmcore.config.evaluate import BiasConfig, ReportConfig
from lmcore.config.finetune import FinetuneConfig
from lmcore.config.models import GPTConfig
from lmcore.config.tokenize import BytePairConfig, SplitFractions
from lmcore.errors import UserError
from lmcore.finetuning.classification.classifier import Classifier, load_classifier, save_classifier
from lmcore.models.folder import load_language_model, save_language_model
from lmcore.models.gpt.model import GPT
from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.files import folder_digest, write_json
from lmcore.runtime.workers import Workers
from lmcore.text.documents.document import CLEAN_SCHEMA
from lmcore.text.documents.shards import read_documents, shard_name, shards_of, write_table
from lmcore.text.split import document_id, split_of, splits_of
from lmcore.tokens.corpus.shards import TokenShards, write_shards
from lmcore.tokens.tokenizer.training import train_tokenizer
from lmcore.training.record import TrainingRecord
from tasks.context.environment import Environment
from tasks.evaluate import (
    BaseModels,
    ReportInputs,
    evaluate_chat_model,
    evaluate_classifier,
    evaluate_completion,
    evaluate_dpo,
    evaluate_grpo,
    evaluate_language_model,
    evaluate_prompts,
    generate_samples,
    measure_contamination,
    probe_models,
    write_metrics,
    write_model_cards,
    write_report,
)
from tasks.training import write_curves
from tests.lmcore.evaluation.evaluation_settings import CONFIG as SMALL_CONFIG
from tests.lmcore.models.prompt_formats import prompt_format_with

CONFIG = SMALL_CONFIG.model_copy(
    update={"report": ReportConfig(num_documents=2, max_document_tokens=63, num_completions=2)}
)
SPLIT = SplitFractions(validation=0.2, test=0.3)
SHAPE = GPTConfig(
    family="gpt",
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=2,
    intermediate_size=32,
    hidden_act="relu2",
    max_position_embeddings=64,
    dropout=0.0,
    tie_word_embeddings=True,
    use_residual_mixing=False,
    use_value_embeddings=False,
    use_token_shift=False,
    ngram_head_order=0,
    final_logit_softcapping=None,
    rope_theta=10000.0,
)
TRAINING_RECORD = TrainingRecord(
    n_parameters=5000,
    n_steps=2,
    n_batches=2,
    n_epochs=0.1,
    n_targets=600,
    n_skipped_steps=0,
    n_rollbacks=0,
    best_step=2,
    best_validation_loss=5.0,
    precision="float32",
    seed=3,
    history=[{"step": 1, "loss": 6.0, "gradient_norm": 1.0, "learning_rate": 0.1, "validation_loss": 5.5}],
    drawn={"kind": "windows", "sequence_length": 64, "n_windows": 12, "seed": 3},
)
RECORD = TRAINING_RECORD.to_json()
DATA_CARD = {"documents": 120, "bytes": 9000, "languages": ["en"], "sources": []}
FINETUNE = FinetuneConfig(
    seed=1,
    classification=ClassificationTrainingConfig.model_construct(
        max_train_samples=40, label_column="label", problem_type=None
    ),
    completion=CompletionTrainingConfig.model_construct(
        examples=SummaryExamples(
            kind="summary", min_summary_characters=5, max_summary_characters=200, min_body_characters=10
        ),
        max_train_samples=40,
    ),
    chat=None,
    dpo=None,
    grpo=None,
)


def write_documents(folder: Path) -> list[str]:
    generator = np.random.default_rng(0)
    words = {"numpy": ["array", "axis", "shape", "dtype"], "prefect": ["flow", "task", "server", "run"]}
    rows = []
    for number in range(120):
        label = ("numpy", "prefect")[number % 2]
        body = " ".join(generator.choice(words[label], generator.integers(3, 25)))
        text = f"Return the {words[label][number % 4]} number {number}.\n\n{body.capitalize()}. Naïve ✓."
        row = {
            "id": document_id(text),
            "text": text,
            "label": label,
            "name": f"f{number}",
            "path": "x.py",
            "source": "docs",
            "n_words": len(text.split()),
        }
        rows.append(row | {"split": None, "target": None})
    (folder / "documents").mkdir(parents=True)
    columns = pa.schema([CLEAN_SCHEMA.field(name) for name in rows[0]])
    write_table(folder / "documents" / shard_name(0), pa.Table.from_pylist(rows, columns))
    write_json(
        folder / "summary.json", {"input": 120, "kept": 120, "dropped": 0, "dropped_by_reason": {}, "labels": []}
    )
    return [row["text"] for row in rows]


def write_models(project: Path, texts: list[str]) -> None:
    training = [text for text in texts if split_of(document_id(text), SPLIT) == "train"]
    tokenizer = train_tokenizer(training, BytePairConfig(kind="byte_pair", vocabulary_size=280))
    documents = shards_of(project / "clean")
    with Workers(1) as workers:
        write_shards(
            project / "tokens",
            tokenizer,
            documents,
            SPLIT,
            weights={},
            cache=ArtifactCache(project / "pieces", ""),
            workers=workers,
        )
    torch.manual_seed(0)
    model = GPT(SHAPE, tokenizer.vocabulary)
    save_language_model(project / "language-model", model, tokenizer, RECORD)
    prompt_format = prompt_format_with("\n=>\n", 20, 8)
    save_language_model(project / "finetuned/completion", model, tokenizer, RECORD, prompt_format=prompt_format)
    classifier = Classifier(model, ("numpy", "prefect"), max_tokens=16)
    save_classifier(project / "finetuned/classifier", classifier, tokenizer, RECORD)
    write_json(project / "finetuned/summary.json", {"skipped": {}})
    for curves in ("pretrain", "finetune/classifier", "finetune/completion"):
        write_curves(project / "curves" / curves, TRAINING_RECORD)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    write_models(folder, write_documents(folder / "clean"))
    run_tasks(folder, "reports")
    return folder


def run_tasks(project: Path, name: str) -> None:
    output = project / name
    folders = {"documents": project / "clean", "output": output}
    measure_contamination(CONFIG.contamination, SPLIT, **folders)
    evaluate_language_model(CONFIG, tokens=project / "tokens", language_model=project / "language-model", **folders)
    evaluate_classifier(CONFIG, FINETUNE, SPLIT, models=project / "finetuned", **folders)
    evaluate_completion(CONFIG, FINETUNE, SPLIT, models=project / "finetuned", **folders)
    evaluate_chat_model(CONFIG, FINETUNE, SPLIT, models=project / "finetuned", **folders)
    base_models = BaseModels(Environment(), project / "language-model", project / "finetuned", seed=1, pinned=())
    for evaluate_part in (evaluate_dpo, evaluate_grpo):
        evaluate_part(CONFIG, FINETUNE, SPLIT, base_models, models=project / "finetuned", **folders)
    evaluate_prompts(CONFIG, SPLIT, language_model=project / "language-model", **folders)
    generate_samples(CONFIG.samples, language_model=project / "language-model", output=output)
    probe_models(
        CONFIG,
        FINETUNE,
        SPLIT,
        tokens=project / "tokens",
        documents=project / "clean",
        language_model=project / "language-model",
        models=project / "finetuned",
        output=output,
    )
    write_metrics(output=output, metrics=output / "slim.json")
    inputs = ReportInputs(
        clean=project / "clean",
        tokens=project / "tokens",
        language_model=project / "language-model",
        finetuned=project / "finetuned",
        pretrain_curves=project / "curves/pretrain",
        finetune_curves=project / "curves/finetune",
    )
    parameters = {"evaluate": CONFIG.model_dump(mode="json"), "pretrain": {"model": {}, "seed": 3}, "finetune": {}}
    write_json(project / "clean/card.json", DATA_CARD)
    write_report(CONFIG, parameters, inputs, output=output)
    write_model_cards(CONFIG, parameters, inputs, output=output)


def read(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_surprisal_of_a_document_is_that_of_the_model_on_the_whole_document(project):
    model, _ = load_language_model(project / "language-model")
    shards = TokenShards.open(project / "tokens")
    offsets, tokens = shards.offsets("test"), shards.tokens("test")
    metrics = read(project / "reports/metrics.json")["language_model"]
    assert metrics["n_documents"] == CONFIG.likelihood.max_documents
    lengths = np.diff(offsets)
    shown = read(project / "reports/language_model.json")["documents"]
    ids = shards.document_ids("test")
    assert len(shown) == 2
    for document in shown:
        index = ids.index(document["id"])
        assert lengths[index] <= SHAPE.max_position_embeddings
        text = torch.tensor(tokens[offsets[index] : offsets[index + 1]].astype(np.int64))
        inputs = torch.cat((torch.tensor([shards.end_of_text_id]), text[:-1]))
        bits = -model(inputs[None])[0].log_softmax(-1).gather(1, text[:, None]) / np.log(2)
        found = sum(span["bits"]["model"] for span in document["spans"])
        assert found == pytest.approx(bits[:-1].sum().item(), rel=0.02)


def test_as_a_stream_all_documents_count_and_earlier_ones_are_context(project, tmp_path):
    likelihood = CONFIG.likelihood.model_copy(update={"context": "stream", "max_documents": None})
    config = CONFIG.model_copy(update={"likelihood": likelihood})
    folders = {"tokens": project / "tokens", "documents": project / "clean", "output": tmp_path}
    measure_contamination(config.contamination, SPLIT, documents=project / "clean", output=tmp_path)
    evaluate_language_model(config, language_model=project / "language-model", **folders)
    metrics = read(tmp_path / "language_model.json")["metrics"]
    shards = TokenShards.open(project / "tokens")
    assert metrics["n_documents"] == len(shards.document_ids("test"))
    model, _ = load_language_model(project / "language-model")
    stream = torch.tensor(shards.tokens("test").astype(np.int64))
    inputs = torch.cat((torch.tensor([shards.end_of_text_id]), stream[:-1]))
    expected, stride, context = 0.0, config.likelihood.window_stride_tokens, SHAPE.max_position_embeddings
    for start, end in [(0, context), *((end - context, end) for end in range(context + stride, len(stream), stride))]:
        new = slice(0 if start == 0 else context - stride, None)
        logits = model(inputs[None, start:end])[0].log_softmax(-1)
        expected -= logits.gather(1, stream[start:end, None])[new].double().sum().item()
    scored = (len(stream) - context) // stride * stride + context
    assert metrics["model"]["perplexity"]["value"] == pytest.approx(np.exp(expected / scored), rel=0.01)


def test_every_value_is_within_its_interval_and_the_interpolation_is_close_to_its_best_model(project):
    metrics = read(project / "reports/metrics.json")
    assert set(metrics) == {"language_model", "classifier", "completion"}
    for name in ("model", "ngram", "interpolation", "ngram_on_seen_tokens"):
        estimate = metrics["language_model"][name]["bits_per_byte"]
        assert estimate["low"] <= estimate["value"] <= estimate["high"]
    bits = {name: metrics["language_model"][name]["bits_per_byte"]["value"] for name in ("ngram", "interpolation")}
    assert bits["interpolation"] <= bits["ngram"] * 1.02
    assert metrics["classifier"]["bag_of_words"]["accuracy"]["value"] == 1.0


def test_the_confusion_table_holds_the_classifiers_own_predictions(project):
    with (project / "reports/confusion.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    accuracy = np.mean([row["actual"] == row["predicted"] for row in rows])
    metrics = read(project / "reports/metrics.json")["classifier"]
    assert metrics["model"]["accuracy"]["value"] == pytest.approx(accuracy)
    labels = load_classifier(project / "finetuned/classifier")[0].labels
    assert {row["actual"] for row in rows} <= set(labels)


def test_the_baselines_of_a_completion_copy_from_its_prompt_and_from_training_examples(project):
    completions = read(project / "reports/completion.json")["completions"]
    assert len(completions) == CONFIG.completion.max_documents
    for row in completions:
        assert row["prompt"].startswith(row.get("first_sentence", row["prompt"]))
        assert row["nearest_neighbor"].startswith("Return the")
        assert row["reference"].startswith("Return the")


def test_the_metric_of_the_completions_is_also_there_for_each_label(project):
    result = read(project / "reports/completion.json")
    rows = result["by_label"]
    assert [row["label"] for row in rows] == ["numpy", "prefect"]
    assert sum(row["n_documents"] for row in rows) == len(result["completions"])
    assert all(set(row) == {"label", "n_documents", "model", result["strongest_baseline"]} for row in rows)


def test_only_what_follows_the_separator_of_an_answer_is_compared(project, tmp_path):
    completion = CONFIG.completion.model_copy(update={"answer_separator": "the"})
    folders = {"documents": project / "clean", "output": tmp_path}
    measure_contamination(CONFIG.contamination, SPLIT, **folders)
    config = CONFIG.model_copy(update={"completion": completion})
    evaluate_completion(config, FINETUNE, SPLIT, models=project / "finetuned", **folders)
    whole = {row["id"]: row["reference"] for row in read(project / "reports/completion.json")["completions"]}
    for row in read(tmp_path / "completion.json")["completions"]:
        assert row["reference"] == whole[row["id"]].removeprefix("Return the").strip()
        assert row["nearest_neighbor"].split()[0] in (
            "array",
            "axis",
            "shape",
            "dtype",
            "flow",
            "task",
            "server",
            "run",
        )


def test_dvc_gets_a_few_flat_values_and_all_metrics_are_next_to_the_report(project):
    slim, whole = read(project / "reports/slim.json"), read(project / "reports/metrics.json")
    assert list(slim) == ["bits_per_byte_clean", "accuracy_clean", "chrf_clean", "bits_per_byte"]
    for part, name in (("language_model", "bits_per_byte_clean"), ("classifier", "accuracy_clean")):
        assert slim[name] == pytest.approx(whole[part]["model"][name]["value"], abs=1e-4)
    # What `dvc metrics show` prints: the path and each value below its name.
    assert len("reports/metrics.json  ") + sum(len(name) + 4 for name in slim) <= 100


def test_documents_that_share_text_with_training_are_counted_and_left_out_of_clean_metrics(project):
    with (project / "reports/contamination.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    n_clean = sum(float(row["shared"]) == 0 for row in rows)
    summary, metrics = read(project / "reports/contamination.json"), read(project / "reports/metrics.json")
    assert summary["test"]["n_documents"] == len(rows)
    assert summary["test"]["n_clean"] == n_clean
    assert 0 < n_clean < len(rows)
    assert 0 < metrics["language_model"]["n_documents_clean"] < metrics["language_model"]["n_documents"]


@pytest.mark.parametrize("rare", [lambda _: "rare", "rare {}".format], ids=["one class", "many classes"])
def test_classes_that_were_not_trained_count_as_wrong_and_are_named(project, tmp_path, caplog, rare):
    documents = tmp_path / "clean"
    write_documents(documents)
    table = read_documents(documents)
    labels = [rare(number) if number % 3 == 0 else label for number, label in enumerate(table["label"].to_pylist())]
    column = table.schema.get_field_index("label")
    (shard,) = shards_of(documents)
    write_table(shard, table.set_column(column, table.schema.field(column), pa.array(labels)))
    output = tmp_path / "out"
    folders = {"documents": documents, "output": output}
    limits = CONFIG.classification.model_copy(update={"max_documents": 1000})
    config = CONFIG.model_copy(update={"classification": limits})
    measure_contamination(config.contamination, SPLIT, **folders)
    evaluate_classifier(config, FINETUNE, SPLIT, models=project / "finetuned", **folders)
    found = read(output / "classifier.json")
    is_test = [split == "test" for split in splits_of(table, SPLIT)]
    test = [label for label, chosen in zip(labels, is_test, strict=True) if chosen]
    untrained = [label for label in test if "rare" in label]
    metrics = found["metrics"]
    assert metrics["n_documents"] == len(test)
    assert metrics["n_documents_of_untrained_classes"] == len(untrained)
    assert set(found["untrained_labels"]) == set(untrained)
    assert metrics["bag_of_words"]["accuracy"]["value"] == pytest.approx(1 - len(untrained) / len(test))
    assert metrics["n_classes"] == 2 + len(set(untrained))
    assert len(found["labels"]) == 2 + min(len(set(untrained)), 11)
    assert sum(map(sum, found["confusion"][2:])) == len(untrained)
    n_wrong = f"{len(untrained)} of {len(test)} test documents count as wrong"
    assert f"{n_wrong}, since their class was not trained: rare" in caplog.text


def test_every_evaluated_model_has_a_card_whose_picture_lies_beside_it(project):
    cards = sorted((project / "reports").glob("model-card-*.md"))
    assert [card.stem for card in cards] == [
        "model-card-classifier",
        "model-card-completion",
        "model-card-language-model",
    ]
    for card in cards:
        text = card.read_text(encoding="utf-8")
        assert "## Results" in text
        for picture in re.findall(r"!\[.*\]\((.*)\)", text):
            assert (project / "reports" / picture).exists()


def test_probes_of_both_models_are_numbers_with_intervals_and_a_method(project):
    found = read(project / "reports/probes.json")
    names = {part: [probe["name"] for probe in probes] for part, probes in found.items()}
    assert names == {"language_model": ["memorization", "bias", "typos"], "classifier": ["typos_classifier"]}
    for probe in (probe for probes in found.values() for probe in probes):
        assert probe["method"].endswith(".")
        for row in probe["rows"]:
            assert row["estimate"]["low"] <= row["estimate"]["value"] <= row["estimate"]["high"]
    bits = [row["estimate"]["value"] for row in found["language_model"][2]["rows"]]
    metrics = read(project / "reports/metrics.json")["language_model"]["model"]["bits_per_byte"]["value"]
    assert bits[0] == pytest.approx(metrics, rel=0.2)


def test_a_file_of_templates_that_is_missing_or_wrong_is_named(project, tmp_path):
    file = tmp_path / "bias.yaml"
    probes = CONFIG.probes.model_copy(update={"memorization": None, "bias": BiasConfig(templates=file)})
    config = CONFIG.model_copy(update={"probes": probes})
    folders = {"tokens": project / "tokens", "documents": project / "clean", "models": tmp_path, "output": tmp_path}
    for text, message in ((None, "does not exist"), ("pairs: 3", "bias.yaml"), ("a: [", "bias.yaml")):
        if text is not None:
            file.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=message):
            probe_models(config, FINETUNE, SPLIT, language_model=project / "language-model", **folders)


def test_equal_inputs_give_equal_files(project):
    run_tasks(project, "again")
    assert folder_digest(project / "again") == folder_digest(project / "reports")


def test_missing_models_are_skipped_with_the_reason_from_the_finetuning(project, tmp_path):
    write_json(tmp_path / "models/summary.json", {"skipped": {"classifier": "no document has a label"}})
    folders = {"documents": project / "clean", "models": tmp_path / "models", "output": tmp_path / "out"}
    evaluate_classifier(CONFIG, FINETUNE, SPLIT, **folders)
    evaluate_completion(CONFIG, FINETUNE, SPLIT, **folders)
    assert read(tmp_path / "out/classifier.json") == {"skipped": "no document has a label"}
    assert "it is disabled in params.yaml" in read(tmp_path / "out/completion.json")["skipped"]
