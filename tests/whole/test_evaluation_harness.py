"""``lm_eval`` measures on an exported model, with a local task, the perplexity that is measured here."""

import json
import math
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import lmcore
from lmcore.config.evaluate import LikelihoodConfig
from lmcore.evaluation.language_models.scoring import NeuralScorer
from lmcore.models.generative import CausalModel

PAGE = Path(__file__).parents[2] / "docs" / "huggingface.md"
CONTEXT = 32
COLORS, ANIMALS, STATES = ("red", "old"), ("cat", "dog", "bird", "fox"), ("asleep", "hungry", "happy")
TEXTS = [f"The {color} {animal} is {state}." for color in COLORS for animal in ANIMALS for state in STATES]
# Shorter and longer than the context, and one that names a special token.
HELD_OUT = ["The red cat is happy.", "The old fox is asleep. " * 12, "Schöne <|endoftext|> Welt\n"]


@pytest.mark.skipif(find_spec("lm_eval") is None, reason="without lm_eval: pip install '.[evaluation-harness]'")
@pytest.mark.parametrize("family", ["gpt", "gpt2"])
def test_its_perplexity_is_the_one_measured_here(tmp_path: Path, family: str) -> None:
    model = lmcore.train(
        TEXTS, max_steps=10, hidden_size=32, num_hidden_layers=2, max_position_embeddings=CONTEXT, family=family
    )
    model.save_huggingface(tmp_path / "exported")
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in HELD_OUT))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "own_texts.yaml").write_text(block_of_page("yaml"))
    command = block_of_page("sh").replace("\\\n", " ").split()
    program = [sys.executable, "-m", "lm_eval", *command[command.index("lm_eval") + 1 :]]
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache"), "HF_MODULES_CACHE": str(tmp_path / "modules")}
    subprocess.run(program, cwd=tmp_path, env=os.environ | offline, check=True, capture_output=True)
    (file,) = (tmp_path / "results").rglob("results_*.json")
    found = json.loads(file.read_text())["results"]["own_texts"]
    assert isinstance(model.model, CausalModel)
    config = LikelihoodConfig.model_construct(window_stride_tokens=CONTEXT, batch_tokens=1000)
    tokens = [np.array(model.tokenizer.encode(text)) for text in HELD_OUT]
    nats = -sum(values.sum() for values in NeuralScorer(model.model, config=config).log_probabilities(tokens))
    n_words = sum(len(re.split(r"\s+", text)) for text in HELD_OUT)
    n_bytes = sum(len(text.encode()) for text in HELD_OUT)
    expected = {
        "word_perplexity": math.exp(nats / n_words),
        "byte_perplexity": math.exp(nats / n_bytes),
        "bits_per_byte": nats / n_bytes / math.log(2),
    }
    for name, value in expected.items():
        assert found[f"{name},none"] == pytest.approx(value, rel=1e-3)


def block_of_page(language: str) -> str:
    """The first block of a language under the page's heading on lm_eval."""
    section = PAGE.read_text(encoding="utf-8").split("## Score with lm_eval")[1]
    return section.split(f"```{language}\n")[1].split("```")[0]
