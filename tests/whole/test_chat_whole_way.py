"""Conversations, preferences and rewards from documents to served models and their evaluation."""

import json
from pathlib import Path
from typing import Any

import pandas
import pyarrow as pa
import pytest
from safetensors.torch import load_file

import lmcore
from lmcore.config.chat import ChatTrainingConfig
from lmcore.config.dpo import DPOTrainingConfig
from lmcore.config.finetune import FinetuneConfig
from lmcore.config.grpo import GRPOTrainingConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.config.training import LoRAConfig
from lmcore.evaluation.names import BASE, MODEL
from lmcore.models.folder import load_chat_template, read_description, save_language_model
from lmcore.runtime.files import write_json
from lmcore.text.documents.document import CLEAN_SCHEMA
from lmcore.text.documents.messages import Message, to_json
from lmcore.text.documents.shards import shard_name, write_table
from lmcore.text.split import document_id
from tasks.evaluate import BaseModels, evaluate_against_base, evaluate_chat_model
from tasks.finetune import FinetuneFiles, finetune_chat, finetune_dpo, finetune_grpo
from tests.lmcore.evaluation.evaluation_settings import CONFIG
from tests.lmcore.finetuning.conversations import TOKENIZER, small_model, training
from tests.tasks.evaluate.test_evaluate import RECORD
from tests.tasks.tracking.trainings import runs, store_of

SPLIT = SplitFractions(validation=0.2, test=0.2)
ADAPTERS = LoRAConfig(rank=2, alpha=2.0, dropout=0.0, save_adapter=True)
SHORT = training(4, batch_size=4, max_eval_samples=6)


def write_conversations(folder: Path) -> None:
    columns = ("id", "split", "text", "target", "messages", "rejected")
    rows = []
    for number in range(30):
        answer = f"It is {number % 9}."
        messages = [Message("user", f"Hello {number}"), Message("assistant", "Hello you!")]
        messages += [Message("user", f"What is {number}?"), Message("assistant", answer)]
        text = f"User: What is {number}?"
        split = ("train", "train", "validation", "test")[number % 4]
        rows.append(dict(zip(columns, (document_id(text), split, text, answer, to_json(messages), "No!"), strict=True)))
    (folder / "documents").mkdir(parents=True)
    schema = pa.schema([CLEAN_SCHEMA.field(name) for name in columns])
    write_table(folder / "documents" / shard_name(0), pa.Table.from_pylist(rows, schema))


def settings() -> FinetuneConfig:
    chat = ChatTrainingConfig(
        init_from="language_model",
        chat_template=None,
        max_tokens=60,
        packing=True,
        max_train_samples=50,
        lora=ADAPTERS,
        frozen_layers=None,
        training=SHORT,
    )
    dpo = DPOTrainingConfig(
        init_from="chat",
        max_tokens=64,
        max_train_samples=50,
        beta=0.1,
        label_smoothing=0.0,
        sft_weight=0.1,
        lora=None,
        frozen_layers=1,
        training=SHORT,
    )
    grpo = GRPOTrainingConfig.model_validate_json(
        json.dumps(
            {
                "init_from": "dpo",
                "rewards": [{"kind": "exact_match", "weight": 1.0}, {"kind": "format", "weight": 1.0, "pattern": ".*"}],
                "num_generations": 2,
                "num_iterations": 2,
                "temperature": 1.0,
                "max_prompt_tokens": 50,
                "max_new_tokens": 4,
                "beta": 0.01,
                "epsilon": 0.2,
                "max_train_samples": 50,
                "lora": ADAPTERS.model_dump(),
                "frozen_layers": None,
                "training": json.loads(SHORT.model_dump_json()),
            }
        )
    )
    return FinetuneConfig(seed=1, classification=None, completion=None, chat=chat, dpo=dpo, grpo=grpo)


def check_what_was_trained(base: Path, models: Path) -> None:
    """Adapters beside the model that they were trained on are the merged one; frozen layers are as they were."""
    question = [{"role": "user", "content": "What is 1?"}]
    for name, trained_on in (("chat", base), ("grpo", models / "dpo")):
        beside = lmcore.load(trained_on, adapter=models / name / "adapter")
        merged = lmcore.load(models / name)
        assert isinstance(beside, lmcore.LanguageModel)
        assert isinstance(merged, lmcore.LanguageModel)
        assert beside.chat(question) == merged.chat(question)
        assert beside.perplexity("What is 1?") == pytest.approx(merged.perplexity("What is 1?"), rel=1e-4)
    before, after = (load_file(models / name / "weights.safetensors") for name in ("chat", "dpo"))
    changed = {name for name, weight in after.items() if not weight.equal(before[name])}
    assert changed
    assert not any("blocks.0." in name or "embedding" in name for name in changed)


@pytest.mark.parametrize("family", ["gpt"])
def test_chat_preferences_and_rewards_go_the_whole_way(family: str, environment: Any, tmp_path: Path) -> None:
    import mlflow

    write_conversations(tmp_path / "clean")
    save_language_model(tmp_path / "language-model", small_model(family), TOKENIZER, RECORD)
    config, models = settings(), tmp_path / "new"
    for name, train in (("chat", finetune_chat), ("dpo", finetune_dpo), ("grpo", finetune_grpo)):
        files = FinetuneFiles(
            tmp_path / "clean", tmp_path / "language-model", models / name, tmp_path / f"curves/{name}"
        )
        assert train(getattr(config, name), SPLIT, 1, environment, files) is None
        assert read_description(models / name).kind == "chat"
        assert load_chat_template(models / name, TOKENIZER) is not None
    write_json(models / "summary.json", {"skipped": {}})
    check_what_was_trained(tmp_path / "language-model", models)

    by_name = {run.info.run_name.split()[0]: run.data.metrics for run in runs(environment)}
    assert {"train/reward", "train/kl", "train/clip_ratio", "validation/reward"} <= set(by_name["grpo"])
    assert {"train/accuracy", "train/margin", "validation/accuracy"} <= set(by_name["dpo"])
    model = mlflow.pyfunc.load_model("models:/chat/1")
    assert isinstance(model.predict(model.input_example)["completion"][0], str)
    conversation = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "What is 1?"}]
    assert len(model.predict(pandas.DataFrame({"messages": [conversation, conversation[1:]]}))) == 2
    with pytest.raises(mlflow.exceptions.MlflowException, match="the role 'tool'"):
        model.predict(pandas.DataFrame({"messages": [[{"role": "tool", "content": "x"}]]}))
    assert store_of(environment).get_registered_model("chat") is not None

    output = tmp_path / "report"
    write_json(output / "contamination.json", {})
    (output / "contamination.csv").write_text("id,split,overlap\n")
    base_models = BaseModels(environment, tmp_path / "language-model", models, seed=1, pinned=())
    folders = {"documents": tmp_path / "clean", "models": models, "output": output}
    evaluate_chat_model(CONFIG, config, SPLIT, **folders)
    evaluate_against_base(CONFIG, config, SPLIT, base_models, **folders)
    found = {name: json.loads((output / f"{name}.json").read_text()) for name in ("chat", "dpo", "grpo")}
    assert [row["turn"] for row in found["chat"]["turns"]] == [1, 2]
    assert {"preference_accuracy", "reward_accuracy", "reward_margin"} <= set(found["dpo"]["metrics"][MODEL])
    assert 0.5 <= found["grpo"]["metrics"][BASE]["reward"]["value"] <= 1.0
    assert found["grpo"]["completions"][0]["model_reward"] >= 0.5
