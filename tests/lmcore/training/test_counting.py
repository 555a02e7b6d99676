import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lmcore.config.models import NgramConfig
from lmcore.models.ngram.model import NgramModel
from lmcore.tokens.corpus.shards import TokenShards
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.training.counting import count_ngrams
from tests.tasks.evaluate.evaluated_project import write_documents, write_models


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_models(folder, write_documents(folder / "clean"))
    return folder / "tokens"


def test_counting_gives_the_record_of_a_training_with_one_step(tokens: Path) -> None:
    shards, tokenizer = TokenShards.open(tokens), Tokenizer.load(tokens / "tokenizer.json")
    model = NgramModel(NgramConfig(family="ngram", order=2), tokenizer.vocabulary)
    logged = []
    record = count_ngrams(model, shards, seed=3, on_metrics=lambda step, metrics: logged.append((step, dict(metrics))))
    training, starts = np.asarray(shards.tokens("train")), shards.offsets("train")
    end = tokenizer.vocabulary.end_of_text_id
    pairs = {
        pair
        for start, stop in pairwise(starts)
        for pair in zip([end, *training[start : stop - 1].tolist()], training[start:stop].tolist(), strict=True)
    }
    assert record.n_parameters == len(set(training.tolist())) + len(pairs)
    assert record.n_targets == len(training)
    assert (record.n_steps, record.seed, record.drawn) == (1, 3, {"kind": "everything"})
    assert logged == [(1, {"validation_loss": record.best_validation_loss})]
    assert record.history == [{"step": 1, "validation_loss": record.best_validation_loss}]
    assert 0 < record.best_validation_loss < math.log(tokenizer.vocabulary.size)
