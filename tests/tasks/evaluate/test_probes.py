import pyarrow as pa
import pytest

from lmcore.config.evaluate import BiasConfig, CanariesConfig
from lmcore.errors import UserError
from lmcore.evaluation.probes.canaries import make_canaries
from lmcore.text.documents.shards import read_documents, shard_name, write_table
from lmcore.tokens.corpus.shards import TokenShards
from tasks.evaluate import (
    probe_models,
)
from tests.tasks.evaluate.evaluated_project import CONFIG, FINETUNE, SPLIT, read


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


def test_planted_secrets_are_probed_by_how_often_they_are_in_training(project, tmp_path):
    table = read_documents(project / "clean")
    planted = {"text": make_canaries(len(table), 0), "source": ["planted"] * len(table)}
    for name, values in planted.items():
        column = table.schema.get_field_index(name)
        table = table.set_column(column, table.schema.field(column), pa.array(values))
    (tmp_path / "documents").mkdir()
    write_table(tmp_path / "documents" / shard_name(0), table)
    canaries = CanariesConfig(sources=("planted",), num_alternatives=3)
    changes = {"memorization": None, "bias": None, "typos": None, "canaries": canaries}
    config = CONFIG.model_copy(update={"probes": CONFIG.probes.model_copy(update=changes)})
    folders = {"tokens": project / "tokens", "documents": tmp_path, "models": tmp_path, "output": tmp_path}
    probe_models(config, FINETUNE, SPLIT, language_model=project / "language-model", **folders)
    exposure, written_out = read(tmp_path / "probes.json")["language_model"]
    n_training = len(TokenShards.open(project / "tokens").document_ids("train"))
    assert [(row["conditions"], row["n_items"]) for row in exposure["rows"]] == [
        (["never (new secrets)"], n_training),
        (["once"], n_training),
    ]
    assert [row["estimate"]["value"] for row in written_out["rows"]] == [0.0]  # the model is not trained
