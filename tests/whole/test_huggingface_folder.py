"""A folder of ``transformers`` goes through ``params.yaml``: pretrained further, fine-tuned, pinned by its content."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import transformers
from ruamel.yaml import YAML

from flows.finetune import finetune
from flows.pretrain import pretrain
from flows.tokenize import tokenize
from lmcore.config.tokenize import BytePairConfig
from lmcore.errors import UserError
from lmcore.finetuning.classification.folder import load_classifier
from lmcore.models.folder import load_generative_model, load_language_model
from lmcore.runtime.files import content_digest
from lmcore.tokens.tokenizer.training import train_tokenizer
from tasks.context.environment import Environment
from tasks.context.named_files import refresh_named_files
from tasks.context.parameters import Parameters, load_parameters
from tests.sample_project import PROJECT
from tests.tasks.evaluate.evaluated_project import write_documents
from tests.tasks.tracking.trainings import runs

# So small that the weights stay what they were, up to rounding.
STILL = {"name": "adamw", "learning_rate": 1e-9, "beta1": 0.9, "beta2": 0.9, "weight_decay": 0.0}
SHORT = {"max_steps": 1, "batch_size": 2, "eval_steps": 1, "save_steps": 1, "max_eval_samples": 4, "optimizer": STILL}


def save_gpt2(folder: Path, texts: list[str]) -> transformers.GPT2LMHeadModel:
    """A small random model of the reference implementation, with its tokenizer, as ``save_pretrained`` leaves it."""
    backend = train_tokenizer(texts, BytePairConfig(kind="byte_pair", vocabulary_size=300)).to_json()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer.from_str(backend), eos_token="<|endoftext|>"
    )
    fast.save_pretrained(folder)
    torch.manual_seed(3)
    config = transformers.GPT2Config(
        vocab_size=len(fast), n_embd=16, n_layer=2, n_head=2, n_positions=48, bos_token_id=0, eos_token_id=0
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    model.save_pretrained(folder)
    return model


def parameters(folder: Path, **tokenizer: Any) -> Parameters:
    """The project's parameters, with ``base`` as what everything starts from, and short trainings."""
    values = YAML(typ="safe").load((PROJECT / "params.yaml").read_text())
    values["tokenize"]["tokenizer"] = tokenizer or {"kind": "existing", "path": str(folder / "tokenizer.json")}
    values["pretrain"] |= {"init_from": str(folder), "model": None, "sequence_length": 24}
    values["trainer"] |= {"gradient_accumulation_steps": 1, "precision": "float32"}
    values["finetune"]["classification"] |= {"max_tokens": 16, "min_examples_per_label": 2, "frozen_layers": 1}
    values["finetune"]["completion"] |= {
        "init_from": str(folder),
        "lora": {"rank": 2, "alpha": 2.0, "dropout": 0.0, "save_adapter": True},
        "max_prompt_tokens": 30,
        "max_completion_tokens": 8,
    }
    values["finetune"]["completion"] |= {
        "examples": {
            "kind": "summary",
            "min_summary_characters": 5,
            "max_summary_characters": 200,
            "min_body_characters": 10,
        },
        "prompt": "prompts/completion/summary.jinja",
        "truncated_field": "text",
    }
    for section in (values["pretrain"], values["finetune"]["classification"], values["finetune"]["completion"]):
        section["training"] |= SHORT
    for section in values["finetune"]:
        if section not in ("seed", "classification", "completion"):
            values["finetune"][section] = None
    path = Path("params.yaml")
    path.write_text(json.dumps(values))
    return load_parameters(path)


def refresh(given: Parameters) -> list[str]:
    return refresh_named_files(given, lock=Path("sources.lock"), pin_model=lambda *_: ("", ""))


@torch.no_grad()
def logits_of(model: torch.nn.Module) -> torch.Tensor:
    found = model(torch.arange(3, 40).unsqueeze(0))
    return found if isinstance(found, torch.Tensor) else found.logits


def test_a_folder_of_transformers_is_pretrained_further_and_fine_tuned(environment: Environment) -> None:
    shutil.rmtree("data")
    shutil.copytree(PROJECT / "prompts", "prompts")
    texts = write_documents(Path("data/clean"))
    base = Path("base")
    reference = save_gpt2(base, texts)
    given = parameters(base)
    names = ("tokenize.tokenizer.path", "pretrain.init_from", "finetune.completion.init_from")
    assert [change.partition(":")[0] for change in refresh(given)] == list(names)

    for stage in (tokenize, pretrain, finetune):
        stage.fn(given, environment)
    model, tokenizer = load_language_model(Path("models/language-model"))
    completion, _ = load_generative_model(Path("models/finetuned/completion"))
    n_tokens = reference.config.vocab_size
    for trained in (model, completion):
        assert trained.config.family == "gpt2"
        torch.testing.assert_close(logits_of(trained)[..., :n_tokens], logits_of(reference), rtol=0, atol=1e-4)
    theirs = transformers.AutoTokenizer.from_pretrained(base)
    assert tokenizer.encode(texts[0]) == theirs(texts[0])["input_ids"]
    assert load_classifier(Path("models/finetuned/classifier"))[0].backbone.config == model.config
    assert (Path("models/finetuned/completion/adapter") / "adapter_model.safetensors").exists()

    of_model, of_classifier, of_completion = (run.data.tags for run in runs(environment))
    assert of_model["model.base_digest"] == of_completion["model.base_digest"] == content_digest(base)
    assert of_classifier["model.base_digest"] == of_model["model.digest"]
    assert {tags["model.family"] for tags in (of_model, of_classifier, of_completion)} == {"gpt2"}

    other = parameters(base, kind="byte_pair", vocabulary_size=280)
    tokenize.fn(other, environment)
    with pytest.raises(UserError, match=r"set tokenize\.tokenizer to \{kind: existing, path: base/tokenizer\.json\}"):
        pretrain.fn(other, environment)
    (base / "config.json").write_text((base / "config.json").read_text() + "\n")
    for stage in (pretrain, finetune):
        with pytest.raises(UserError, match=r"init_from: base has changed since sources\.lock was written"):
            stage.fn(given, environment)
    assert sorted(change.partition(":")[0] for change in refresh(given)) == sorted(names[1:])
