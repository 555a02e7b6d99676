"""Generated tokens per second, against ``generate`` of Hugging Face's GPT-2 in the same size, and CTranslate2."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks.line import Line, median_ratio, seconds_in_turn
from benchmarks.models import our_gpt, our_gpt2, their_gpt2
from benchmarks.training_speed import SHAPE
from benchmarks.worker import PROCESS_SETTINGS, Action
from lmcore.config.tokenize import BytePairConfig
from lmcore.generation import GenerationConfig, generate
from lmcore.models.generative import CausalModel
from lmcore.models.huggingface.folder import export_model
from lmcore.runtime.files import write_json
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.training import train_tokenizer
from lmcore.training.memory import keep_freed_memory

N_ROUNDS = 5
ONE_PROMPT = {"n_prompts": 1, "prompt_tokens": 32, "n_new": 128, "num_beams": 1}
ONE_SEARCH = {"n_prompts": 1, "prompt_tokens": 16, "n_new": 48, "num_beams": 4}
PROMPTS = {"n_prompts": 32, "prompt_tokens": 16, "n_new": 48, "num_beams": 1}
SEARCHES = {"n_prompts": 32, "prompt_tokens": 16, "n_new": 48, "num_beams": 4}
LONG_CONTEXT = {
    "num_hidden_layers": 6,
    "hidden_size": 512,
    "num_attention_heads": 8,
    "vocabulary_size": 4096,
    "max_position_embeddings": 1024,
}
COMPUTE_TYPES = ("float32", "int8")


def generation() -> list[Line]:
    """One and many prompts, greedily and with beam search, in float32, the fastest precision here."""
    lines = [
        _against_hugging_face("generation, one prompt", our_gpt, ONE_PROMPT, 5.0),
        _against_hugging_face("generation, 32 prompts", our_gpt, PROMPTS, 1.0),
        _against_hugging_face("beam search, one prompt x 4 beams", our_gpt, ONE_SEARCH, 1.5),
        _against_hugging_face("beam search, 32 prompts x 4 beams", our_gpt, SEARCHES, 1.5),
        _against_hugging_face("beam search, 32 prompts x 4 beams, our GPT-2", our_gpt2, SEARCHES, 1.5),
        beam_memory(),
    ]
    for name, load in (("one prompt", ONE_PROMPT), ("32 prompts", PROMPTS), ("32 prompts x 4 beams", SEARCHES)):
        lines += [_against_ctranslate2(name, load, compute_type) for compute_type in COMPUTE_TYPES]
    return lines


def beam_memory() -> Line:
    """Memory of 32 beam searches with 4 beams in addition to the model, at a context of 1,024 tokens."""
    ours, theirs = (_mebibytes_of_search(who) for who in ("ours", "theirs"))
    name, note = "memory of beam search, 32 prompts x 4 beams", "6 layers x 512, context 1,024"
    return Line(name, ours, theirs, "MiB", ours / theirs, 1.0, "lower", note)


def ours(make: Callable[..., CausalModel], load: dict[str, int]) -> Action:
    """Generation with this project."""
    PROCESS_SETTINGS.enter_context(keep_freed_memory())
    return _our_generation(make(**SHAPE), load)


def theirs(load: dict[str, int]) -> Action:
    """Generation with Hugging Face transformers."""
    return _their_generation(their_gpt2(**SHAPE), load)


def ctranslate2(load: dict[str, int], compute_type: str) -> Action:
    """Generation with CTranslate2, the fastest engine for CPUs on the package index."""
    import ctranslate2
    from ctranslate2.converters import TransformersConverter

    tokenizer = _tokenizer()
    with tempfile.TemporaryDirectory() as folder:
        exported, converted = Path(folder) / "exported", Path(folder) / "converted"
        export_model(our_gpt2(**_shape_of(tokenizer)), tokenizer, exported)
        TransformersConverter(str(exported)).convert(str(converted))
        settings = json.loads((converted / "config.json").read_text(encoding="utf-8"))
        # The engine requires a token for unknown text, although byte pairs have none.
        write_json(converted / "config.json", settings | {"unk_token": settings["eos_token"]})
        engine = ctranslate2.Generator(str(converted), compute_type=compute_type)
    prompts = [[tokenizer.name_of(token) for token in prompt] for prompt in draw_prompts(load).tolist()]
    options: dict[str, Any] = {
        "max_length": load["n_new"],
        "min_length": load["n_new"],
        "beam_size": load["num_beams"],
        "include_prompt_in_result": False,
    }
    return lambda: [answer.sequences_ids[0] for answer in engine.generate_batch(prompts, **options)]


def draw_prompts(load: dict[str, int]) -> torch.Tensor:
    """Random tokens, int64 (prompts, length)."""
    shape = load["n_prompts"], load["prompt_tokens"]
    return torch.randint(3, 2000, shape, generator=torch.Generator().manual_seed(0))


def _against_hugging_face(name: str, make: Callable[..., CausalModel], load: dict[str, int], target: float) -> Line:
    mine, others = seconds_in_turn(partial(ours, make, load), partial(theirs, load), n_rounds=N_ROUNDS)
    return _line(f"{name}, against Hugging Face generate", load, mine, others, target)


def _against_ctranslate2(name: str, load: dict[str, int], compute_type: str) -> Line:
    mine, others = seconds_in_turn(
        partial(ours, our_gpt2, load), partial(ctranslate2, load, compute_type), n_rounds=N_ROUNDS
    )
    return _line(f"generation, {name}, our GPT-2 against CTranslate2 {compute_type}", load, mine, others, None)


def _line(name: str, load: dict[str, int], mine: list[float], others: list[float], target: float | None) -> Line:
    n_tokens = load["n_prompts"] * load["n_new"]
    ratio = median_ratio(others, mine)
    return Line(name, n_tokens / min(mine), n_tokens / min(others), "tokens/s", ratio, target, "higher")


def _our_generation(model: CausalModel, load: dict[str, int]) -> Action:
    num_beams = load["num_beams"]
    config = GenerationConfig(
        max_new_tokens=load["n_new"],
        num_beams=num_beams,
        do_sample=False,
        temperature=None,
        top_k=None,
        top_p=None,
        min_p=None,
        seed=None,
        length_penalty=1.0 if num_beams > 1 else None,
        repetition_penalty=1.0,
        stop_strings=(),
        stop_token_ids=(),
    )
    prompts = draw_prompts(load).tolist()
    return lambda: generate(model.eval(), prompts, config)


def _their_generation(model: Any, load: dict[str, int]) -> Action:
    prompts, n_new = draw_prompts(load), load["n_new"]
    options = {"max_new_tokens": n_new, "min_new_tokens": n_new, "num_beams": load["num_beams"]}
    mask = torch.ones_like(prompts)
    return lambda: model.eval().generate(prompts, attention_mask=mask, do_sample=False, pad_token_id=0, **options)


@cache
def _tokenizer() -> Tokenizer:
    """A tokenizer for CTranslate2, which takes tokens by name."""
    texts = [file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parents[1].glob("lmcore/**/*.py"))]
    return train_tokenizer(texts, BytePairConfig(kind="byte_pair", vocabulary_size=SHAPE["vocabulary_size"]))


def _shape_of(tokenizer: Tokenizer) -> dict[str, int]:
    return SHAPE | {"vocabulary_size": tokenizer.vocabulary.size}


def _mebibytes_of_search(who: str) -> float:
    command = [sys.executable, "-m", "benchmarks.generation_speed", who]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _show_memory_of_search(who: str) -> None:
    load = SEARCHES | {"n_new": 16}
    search = (
        _our_generation(our_gpt(**LONG_CONTEXT), load)
        if who == "ours"
        else _their_generation(their_gpt2(**LONG_CONTEXT), load)
    )
    process, peak, is_over = psutil.Process(), [0], threading.Event()
    before = process.memory_info().rss

    def watch() -> None:
        while not is_over.is_set():
            peak[0] = max(peak[0], process.memory_info().rss)
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    search()
    is_over.set()
    watcher.join()
    print((peak[0] - before) / 2**20)  # noqa: T201


if __name__ == "__main__":
    _show_memory_of_search(sys.argv[1])
