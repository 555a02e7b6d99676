"""A recipe that trains an LSTM on one sentence a line runs through all stages."""

import gzip
import json
import random
import shutil
from pathlib import Path

from ruamel.yaml import YAML

from tests.sample_project import PROJECT, Sample, commit_all


def test_a_recipe_of_words_in_lines_runs_through_all_stages(committed_project: Sample) -> None:
    for name in ("lmcore", "tasks", "flows", "constraints", "prompts"):
        shutil.copytree(PROJECT / name, name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "constraints.txt"):
        shutil.copy(PROJECT / name, name)
    yaml = YAML()
    recipe = yaml.load((PROJECT / "recipes/ptb-lstm.yaml").read_text())
    n_lines = {"train": 300, "validation": 40, "test": 50}
    for source in recipe["collect"]["sources"]:
        path = Path(f"text/{source['split']}.txt.gz")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress("".join(map(sentence, range(n_lines[source["split"]]))).encode()))
        source["location"]["paths"] = [str(path)]
    recipe["pretrain"]["model"] |= {"embedding_size": 16, "hidden_size": 16, "num_hidden_layers": 1}
    recipe["pretrain"]["training"] |= {"max_steps": 30, "batch_size": 4, "eval_steps": 10}
    recipe["evaluate"]["samples"]["prompts"] = ["the dog"]
    yaml.dump(recipe, Path("recipes/small.yaml"))
    Path(".gitignore").write_text(".work/\n__pycache__/\n/data/\n/models/\n/reports/\n")
    commit_all()
    ended = committed_project.run("flows.recipe", "small")
    assert ended.returncode == 0, ended.stderr
    assert "bits_per_byte" in json.loads(Path("reports/metrics.json").read_text())
    metrics = json.loads(Path("reports/evaluate/metrics.json").read_text())
    assert list(metrics) == ["language_model"]
    assert metrics["language_model"]["n_documents"] == n_lines["test"]
    assert 1 < metrics["language_model"]["interpolation"]["perplexity"]["value"] < 20
    assert "\nthe dog " in ended.stdout
    assert "git checkout params.yaml sources.lock && dvc repro" in ended.stderr
    assert "documents, 0.0 MB\n" in ended.stderr


def sentence(number: int) -> str:
    choose = random.Random(number).choice
    return f" the {choose(['dog', 'cat', 'cow'])} {choose(['runs', 'eats'])} {choose(['N', 'some', '<unk>'])} days \n"
