"""A project with tiny models and documents, and the tasks of the stage run on it: real files, models and generation."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from lmcore.config.classification import ClassificationTrainingConfig
from lmcore.config.completion import CompletionTrainingConfig, SummaryExamples
from lmcore.config.evaluate import ReportConfig
from lmcore.config.finetune import FinetuneConfig
from lmcore.config.tokenize import BytePairConfig, SplitFractions
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.folder import save_classifier
from lmcore.models.folder import save_language_model
from lmcore.models.gpt.model import GPT
from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.files import write_json
from lmcore.runtime.workers import Workers
from lmcore.text.documents.document import CLEAN_SCHEMA
from lmcore.text.documents.shards import shard_name, shards_of, write_table
from lmcore.text.split import document_id, split_of
from lmcore.tokens.corpus.shards import write_shards
from lmcore.tokens.tokenizer.training import train_tokenizer
from tasks.context.environment import Environment
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
    write_metrics,
    write_model_cards,
    write_report,
)
from tasks.training import write_curves
from tests.lmcore.evaluation.evaluation_settings import CONFIG as SMALL_CONFIG
from tests.lmcore.models.prompt_formats import prompt_format_with
from tests.tasks.tracking import tiny_models

CONFIG = SMALL_CONFIG.model_copy(
    update={"report": ReportConfig(num_documents=2, max_document_tokens=63, num_completions=2)}
)
SPLIT = SplitFractions(validation=0.2, test=0.3)
SHAPE = tiny_models.CONFIG.model_copy(update={"max_position_embeddings": 64})
TRAINING_RECORD = tiny_models.RECORD.model_copy(
    update={"drawn": {"kind": "windows", "sequence_length": 64, "n_windows": 12, "seed": 3}}
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


def run_tasks(project: Path, name: str) -> None:
    output = project / name
    folders = {"documents": project / "clean", "output": output}
    measure_contamination(CONFIG.contamination, SPLIT, **folders)
    evaluate_language_model(CONFIG, tokens=project / "tokens", language_model=project / "language-model", **folders)
    evaluate_classifier(CONFIG, FINETUNE, SPLIT, models=project / "finetuned", **folders)
    evaluate_completion(CONFIG, FINETUNE, SPLIT, models=project / "finetuned", **folders)
    evaluate_chat_model(CONFIG, FINETUNE, SPLIT, models=project / "finetuned", **folders)
    base_models = BaseModels(Environment(), project / "language-model", project / "finetuned", seed=1, pinned=())
    evaluate_against_base(CONFIG, FINETUNE, SPLIT, base_models, models=project / "finetuned", **folders)
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
