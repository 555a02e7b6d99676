import numpy as np
import pytest
import torch

from lmcore.models.folder import load_language_model
from lmcore.tokens.corpus.shards import TokenShards
from tasks.evaluate import (
    evaluate_language_model,
    measure_contamination,
)
from tests.tasks.evaluate.evaluated_project import CONFIG, SHAPE, SPLIT, read


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
