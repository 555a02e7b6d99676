"""Generated tokens a second, one prompt at a time, against ``generate`` of Hugging Face's GPT-2 of the same size."""

import torch

from benchmarks.line import Line, median_ratio, seconds_in_turn
from benchmarks.models import our_gpt, their_gpt2
from benchmarks.training_speed import SHAPE
from benchmarks.worker import Action
from lmcore.device import keep_freed_memory
from lmcore.generation import GenerationConfig, SamplingConfig, generate

PROMPT, N_NEW, N_ROUNDS = 32, 128, 5


def ours() -> Action:
    """Greedy generation of this project, in float32, in which it answers one prompt fastest."""
    keep_freed_memory()
    model = our_gpt(**SHAPE).eval()
    greedy = SamplingConfig(method="sampling", temperature=0.0, top_k=None, top_p=None, min_p=None, seed=1)
    config = GenerationConfig(max_tokens=N_NEW, stop=(), stop_tokens=(), repetition_penalty=1.0, decoding=greedy)
    prompt = list(range(3, 3 + PROMPT))
    return lambda: generate(model, [prompt], config)


def theirs() -> Action:
    """Greedy generation of Hugging Face's."""
    model, prompt = their_gpt2(**SHAPE).eval(), torch.arange(3, 3 + PROMPT)[None]
    options = {"max_new_tokens": N_NEW, "min_new_tokens": N_NEW, "do_sample": False, "pad_token_id": 0}
    return lambda: model.generate(prompt, attention_mask=torch.ones_like(prompt), **options)


def generation() -> list[Line]:
    """One line: greedy, so that both choose in the same way."""
    mine, others = seconds_in_turn(ours, theirs, n_rounds=N_ROUNDS)
    return [
        Line(
            "generation, one prompt, against Hugging Face generate",
            N_NEW / min(mine),
            N_NEW / min(others),
            "tokens/s",
            median_ratio(others, mine),
            5.0,
            "higher",
        )
    ]
