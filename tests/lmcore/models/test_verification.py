"""A model folder is used only if it is unchanged, and all its files have the same permissions."""

import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lmcore.config.models import NgramConfig
from lmcore.config.tokenize import BytePairConfig
from lmcore.finetuning.adapter_folder import save_adapter
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.folder import load_classifier, save_classifier
from lmcore.models.families import build_model
from lmcore.models.folder import load_language_model, save_language_model
from lmcore.models.lora import add_lora
from lmcore.models.ngram.model import NgramModel
from lmcore.models.verification import SUMS, write_sums
from lmcore.tokens.tokenizer.training import train_tokenizer
from lmcore.training.checkpoint import Checkpoint, save_checkpoint
from tests.lmcore.models.small_models import CONFIGS

TOKENIZER = train_tokenizer(["a fox"], BytePairConfig(kind="byte_pair", vocabulary_size=260))
FILES = ("config.json", "tokenizer.json", "weights.safetensors")
LOADERS = {"language-model": load_language_model, "classifier": load_classifier}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    model = build_model(CONFIGS["gpt"], TOKENIZER.vocabulary)
    save_language_model(folder / "language-model", model, TOKENIZER, {})
    save_classifier(folder / "classifier", Classifier(model, ["a", "b"], max_tokens=8), TOKENIZER, {})
    for family in CONFIGS:
        save_language_model(folder / family, build_model(CONFIGS[family], TOKENIZER.vocabulary), TOKENIZER, {})
    return folder


@pytest.fixture
def models(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "models")


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize("file", FILES)
def test_any_altered_byte_is_noticed_and_its_file_named(models: Path, kind: str, file: str) -> None:
    path, draw = models / kind / file, random.Random(file)
    whole = path.read_bytes()
    for position in {0, len(whole) - 1, *draw.sample(range(len(whole)), 10)}:
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << draw.randrange(8)]) + whole[position + 1 :])
        with pytest.raises(ValueError, match=rf"{file} was damaged or altered .*restore it, or train the model again"):
            LOADERS[kind](models / kind)
    for content in (b"", whole[:-1], whole + b"\0"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{file} was damaged or altered"):
            LOADERS[kind](models / kind)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=file):
        LOADERS[kind](models / kind)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0", b"nothing\n", b"0 config.json\n"])
def test_damaged_checksums_are_noticed(models: Path, content: bytes) -> None:
    (models / "gpt" / SUMS).write_bytes(content)
    with pytest.raises(ValueError, match=rf"config\.json was damaged or altered .*{SUMS}"):
        load_language_model(models / "gpt")


def test_a_folder_without_checksums_says_how_it_gets_them(models: Path) -> None:
    (models / "gpt" / SUMS).unlink()
    with pytest.raises(FileNotFoundError, match=f"has no {SUMS}") as caught:
        load_language_model(models / "gpt")
    command = re.search("`(.*)`", str(caught.value))
    assert command
    subprocess.run(command[1], shell=True, cwd=models / "gpt", check=True)
    load_language_model(models / "gpt")
    subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=models / "gpt", check=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(models: Path, value: float) -> None:
    path = models / "gpt" / "weights.safetensors"
    weights = load_file(path)
    weights["blocks.1.attention.key.weight"][3, 4] = value
    save_file(weights, path)
    write_sums(models / "gpt")
    with pytest.raises(
        ValueError, match=r"safetensors has values that are not finite in blocks\.1\.attention\.key\.weight"
    ):
        load_language_model(models / "gpt")


WITHOUT_WEIGHTS = {
    *((family, "num_attention_heads") for family in ("gpt", "gpt2", "bert", "encoder_decoder")),
    *((family, "max_position_embeddings") for family in ("gpt", "llama", "t5")),
    ("t5", "relative_attention_max_distance"),
}


@pytest.mark.parametrize("family", CONFIGS)
def test_sizes_that_are_not_those_of_the_weights_are_refused_before_they_cost_anything(
    models: Path, family: str
) -> None:
    path = models / family / "config.json"
    description = json.loads(path.read_text())
    sizes = {name: value for name, value in description["model"].items() if type(value) is int}
    assert len(sizes) > 3
    for name, value in sizes.items():
        # Of what no weight's shape tells, only what no machine has the memory for is refused.
        has_no_weight = (family, name) in WITHOUT_WEIGHTS
        factors = (10**7, 10**9) if has_no_weight else (4, 10**3, 10**5, 10**7)
        for factor in factors:
            changed = description | {"model": description["model"] | {name: value * factor}}
            path.write_text(json.dumps(changed))
            write_sums(models / family)
            with pytest.raises(ValueError, match=r"config\.json(:| does not describe a model)"):
                load_language_model(models / family)


def test_damaged_counts_are_named(tmp_path: Path) -> None:
    model = build_model(NgramConfig(family="ngram", order=2), TOKENIZER.vocabulary)
    assert isinstance(model, NgramModel)
    model.fit(torch.tensor([3, 4, 3, 0]).numpy(), torch.tensor([0, 4]).numpy())
    save_language_model(tmp_path / "ngram", model, TOKENIZER, {})
    assert load_language_model(tmp_path / "ngram")[0].config == model.config
    path = tmp_path / "ngram" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"weights\.safetensors was damaged or altered"):
        load_language_model(tmp_path / "ngram")
    write_sums(tmp_path / "ngram")
    with pytest.raises(ValueError, match=r"weights\.safetensors is damaged"):
        load_language_model(tmp_path / "ngram")


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_every_file_has_the_mode_that_the_umask_gives(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        model = build_model(CONFIGS["gpt"], TOKENIZER.vocabulary)
        save_language_model(tmp_path / "a" / "model", model, TOKENIZER, {})
        save_checkpoint(tmp_path / "a" / "checkpoints", Checkpoint(1, {"weight": torch.ones(2)}, {}))
        add_lora(model, rank=2, alpha=2.0, dropout=0.0, generator=torch.Generator())
        save_adapter(tmp_path / "a" / "adapter", model)
    finally:
        os.umask(before)
    made = list((tmp_path / "a").rglob("*"))
    assert len(made) == 14
    for path in made:
        assert path.stat().st_mode & 0o777 == (0o777 if path.is_dir() else 0o666) & ~umask, path
