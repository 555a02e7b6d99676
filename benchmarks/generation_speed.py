"""Generated tokens per second, against ``generate`` of Hugging Face's GPT-2 in the same size, and CTranslate2."""

import dataclasses
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import torch

from benchmarks.line import Line, median_ratio, seconds_in_turn
from benchmarks.models import our_gpt, our_gpt2, their_gpt2
from benchmarks.trained_models import N_HELD_OUT, assistant, held_out, tokenizer, trained
from benchmarks.training_speed import SHAPE
from benchmarks.worker import PROCESS_SETTINGS, Action
from lmcore.generation import generate, greedy_decoding
from lmcore.generation.drafts import Drafts
from lmcore.models.generative import CausalModel
from lmcore.models.gpt.model import GPT
from lmcore.models.gpt2.model import GPT2
from lmcore.models.huggingface.folder import export_model
from lmcore.models.quantization import load_in_8bit
from lmcore.runtime.files import write_json
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
    "vocabulary_size": 8192,
    "max_position_embeddings": 1024,
}
COMPUTE_TYPES = ("float32", "int8")
MAKERS: dict[str, Callable[..., GPT | GPT2]] = {"gpt": our_gpt, "gpt2": our_gpt2}


def generation() -> list[Line]:
    """One and many prompts, greedily and with beam search, in float32 and with 8-bit weights.

    A single prompt is read with drafts of a 5-gram model, whose success depends on the text: these models are trained
    for a minute.
    """
    one_prompt = _against_hugging_face("generation, one prompt", "gpt", ONE_PROMPT, 3.0)
    lines = [
        dataclasses.replace(one_prompt, note=_drafted()),
        _against_hugging_face("generation, 32 prompts", "gpt", PROMPTS, 3.0),
        _against_hugging_face("beam search, one prompt x 4 beams", "gpt", ONE_SEARCH, 3.0),
        _against_hugging_face("beam search, 32 prompts x 4 beams", "gpt", SEARCHES, 3.0),
        _against_hugging_face("beam search, 32 prompts x 4 beams, our GPT-2", "gpt2", SEARCHES, 1.5),
        beam_memory(),
        eight_bit_loss(),
        _against_hugging_face("generation, 32 prompts, 8-bit weights", "gpt", PROMPTS, None, in_8bit=True),
    ]
    for name, load in (("one prompt", ONE_PROMPT), ("32 prompts", PROMPTS), ("32 prompts x 4 beams", SEARCHES)):
        lines += [_against_ctranslate2(name, load, compute_type) for compute_type in COMPUTE_TYPES]
    return lines


def eight_bit_loss() -> Line:
    """Bits per byte of held-out text with 8-bit weights, against the float32 weights that they were made of."""
    model = trained("gpt", our_gpt, SHAPE)
    exact = _bits_per_byte(model)
    load_in_8bit(model)
    rounded = _bits_per_byte(model)
    name, note = "8-bit weights, bits per byte", f"a loss of {rounded - exact:.4f}; {N_HELD_OUT} held-out docstrings"
    return Line(name, rounded, exact, "bits per byte", rounded / exact, 1.01, "lower", note)


def beam_memory() -> Line:
    """Memory of 32 beam searches with 4 beams in addition to the model, at a context of 1,024 tokens."""
    ours, theirs = (_mebibytes_of_search(who) for who in ("ours", "theirs"))
    name, note = "memory of beam search, 32 prompts x 4 beams", "6 layers x 512, context 1,024"
    return Line(name, ours, theirs, "MiB", ours / theirs, 1.0, "lower", note)


def ours(family: str, load: dict[str, int], *, in_8bit: bool = False) -> Action:
    """Generation with this project."""
    PROCESS_SETTINGS.enter_context(keep_freed_memory())
    model = trained(family, MAKERS[family], SHAPE)
    if in_8bit:
        load_in_8bit(model)
    return _our_generation(model, load)


def theirs(load: dict[str, int]) -> Action:
    """Generation with Hugging Face transformers."""
    return _their_generation(their_gpt2(**SHAPE), load)


def ctranslate2(load: dict[str, int], compute_type: str) -> Action:
    """Generation with CTranslate2, the fastest engine for CPUs on the package index."""
    import ctranslate2
    from ctranslate2.converters import TransformersConverter

    with tempfile.TemporaryDirectory() as folder:
        exported, converted = Path(folder) / "exported", Path(folder) / "converted"
        export_model(trained("gpt2", our_gpt2, SHAPE), tokenizer(), exported)
        TransformersConverter(str(exported)).convert(str(converted))
        settings = json.loads((converted / "config.json").read_text(encoding="utf-8"))
        # The engine requires a token for unknown text, although byte pairs have none.
        write_json(converted / "config.json", settings | {"unk_token": settings["eos_token"]})
        engine = ctranslate2.Generator(str(converted), compute_type=compute_type)
    prompts = [[tokenizer().name_of(token) for token in prompt] for prompt in draw_prompts(load).tolist()]
    options: dict[str, Any] = {
        "max_length": load["n_new"],
        "min_length": load["n_new"],
        "beam_size": load["num_beams"],
        "include_prompt_in_result": False,
    }
    return lambda: [answer.sequences_ids[0] for answer in engine.generate_batch(prompts, **options)]


def draw_prompts(load: dict[str, int]) -> torch.Tensor:
    """The beginnings of held-out texts, int64 (prompts, length)."""
    encoded = [tokenizer().encode(text) for text in held_out()]
    length = load["prompt_tokens"]
    return torch.tensor([tokens[:length] for tokens in encoded if len(tokens) >= length][: load["n_prompts"]])


def _against_hugging_face(
    name: str, family: str, load: dict[str, int], target: float | None, *, in_8bit: bool = False
) -> Line:
    trained(family, MAKERS[family], SHAPE)
    mine, others = seconds_in_turn(
        partial(ours, family, load, in_8bit=in_8bit), partial(theirs, load), n_rounds=N_ROUNDS
    )
    return _line(f"{name}, against Hugging Face generate", load, mine, others, target)


def _against_ctranslate2(name: str, load: dict[str, int], compute_type: str) -> Line:
    trained("gpt2", our_gpt2, SHAPE)
    in_8bit = compute_type == "int8"
    mine, others = seconds_in_turn(
        partial(ours, "gpt2", load, in_8bit=in_8bit), partial(ctranslate2, load, compute_type), n_rounds=N_ROUNDS
    )
    target = 1.0 if in_8bit else None
    return _line(f"generation, {name}, our GPT-2 against CTranslate2 {compute_type}", load, mine, others, target)


def _drafted() -> str:
    """How much of the text of one prompt was drafted, and whether it is the text without drafts."""
    action = _our_generation(trained("gpt", our_gpt, SHAPE), ONE_PROMPT)
    n_passes = 0
    forward = GPT.forward

    def count(*arguments: Any, **named: Any) -> torch.Tensor:
        nonlocal n_passes
        n_passes += 1
        return forward(*arguments, **named)

    with patch.object(GPT, "forward", count):
        found = action()
    with patch.object(Drafts, "draft", lambda *_: []):
        is_same = action() == found
    tokens = "the same tokens" if is_same else "OTHER TOKENS"
    return f"{ONE_PROMPT['n_new'] / n_passes:.2f} tokens a pass; {tokens} as without drafts"


def _bits_per_byte(model: CausalModel) -> float:
    n_bytes = sum(len(text.encode()) for text in held_out())
    nats = -sum(sum(model.token_log_probabilities(tokenizer().encode(text))) for text in held_out())
    return nats / math.log(2) / n_bytes


def _line(name: str, load: dict[str, int], mine: list[float], others: list[float], target: float | None) -> Line:
    n_tokens = load["n_prompts"] * load["n_new"]
    ratio = median_ratio(others, mine)
    return Line(name, n_tokens / min(mine), n_tokens / min(others), "tokens/s", ratio, target, "higher")


def _our_generation(model: CausalModel, load: dict[str, int]) -> Action:
    num_beams = load["num_beams"]
    config = greedy_decoding(load["n_new"])
    if num_beams > 1:
        config = config.model_copy(update={"num_beams": num_beams, "length_penalty": 1.0})
    prompts = draw_prompts(load).tolist()
    drafter = assistant() if len(prompts) == 1 and num_beams == 1 else None
    return lambda: generate(model.eval(), prompts, config, assistant_model=drafter)


def _their_generation(model: Any, load: dict[str, int]) -> Action:
    prompts, n_new = draw_prompts(load), load["n_new"]
    options = {"max_new_tokens": n_new, "min_new_tokens": n_new, "num_beams": load["num_beams"]}
    mask = torch.ones_like(prompts)
    return lambda: model.eval().generate(prompts, attention_mask=mask, do_sample=False, pad_token_id=0, **options)


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
