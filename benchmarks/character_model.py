"""A small character model: time to the loss that a plain GPT-2 with AdamW reaches in 2,000 steps."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pydoc_data.topics import topics

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.line import Line
from benchmarks.models import OPTIMIZER, our_gpt
from benchmarks.worker import PROCESS_SETTINGS, Action, worker
from lmcore.config.training import ScheduleConfig
from lmcore.models.device import native_bfloat16, pick_device
from lmcore.training.memory import keep_freed_memory
from lmcore.training.optimizer import ModelOptimizer
from lmcore.training.schedule import learning_rate_factor
from tasks.context.process_start import START_SETTINGS

BASELINE_STEPS, BASELINE_BATCH, BASELINE_LENGTH = 2_000, 12, 64
OUR_STEPS, OUR_BATCH, OUR_LENGTH = 300, 16, 64
VALIDATION_EVERY = 25


@dataclass(frozen=True)
class Text:
    """A text as character ids: nine tenths for training, the rest for validation."""

    training: torch.Tensor
    validation: torch.Tensor
    n_characters: int

    @classmethod
    def read(cls) -> "Text":
        """Read Python's language reference, half a megabyte that every installation has."""
        text = "\n\n".join(topics[name] for name in sorted(topics))
        characters = sorted(set(text))
        numbers = torch.tensor([characters.index(character) for character in text])
        border = len(numbers) * 9 // 10
        return cls(numbers[:border], numbers[border:], len(characters))

    def draw(self, batch: int, length: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield random windows without end."""
        generator = np.random.default_rng(seed)
        while True:
            starts = torch.from_numpy(generator.integers(len(self.training) - length - 1, size=batch))
            windows = self.training[starts[:, None] + torch.arange(length + 1)]
            yield windows[:, :-1].contiguous(), windows[:, 1:].contiguous()

    def validation_loss(self, loss: Callable[[Tensor, Tensor], Tensor]) -> float:
        """Mean loss in nats over all windows of the baseline's length, given the summed loss of a batch."""
        n_windows = (len(self.validation) - 1) // BASELINE_LENGTH
        places = torch.arange(n_windows)[:, None] * BASELINE_LENGTH + torch.arange(BASELINE_LENGTH + 1)
        total = 0.0
        with torch.no_grad():
            for windows in torch.split(self.validation[places], 64):
                total += float(loss(windows[:, :-1].contiguous(), windows[:, 1:].contiguous()))
        return total / (n_windows * BASELINE_LENGTH)


class PlainBlock(nn.Module):
    """A block of GPT-2 (Radford et al. 2019)."""

    def __init__(self, hidden_size: int, num_attention_heads: int) -> None:
        super().__init__()
        self.num_attention_heads = num_attention_heads
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(hidden_size), nn.LayerNorm(hidden_size)
        self.attention, self.projection = nn.Linear(hidden_size, 3 * hidden_size), nn.Linear(hidden_size, hidden_size)
        self.feed_forward = nn.Sequential(
            nn.Linear(hidden_size, 4 * hidden_size), nn.GELU(), nn.Linear(4 * hidden_size, hidden_size)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (batch, length, hidden_size) to the same shape."""
        batch, length, hidden_size = hidden.shape
        parts = self.attention(self.attention_norm(hidden)).view(batch, length, 3, self.num_attention_heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        hidden = hidden + self.projection(attended.transpose(1, 2).reshape(batch, length, hidden_size))
        result: Tensor = hidden + self.feed_forward(self.feed_forward_norm(hidden))
        return result


class PlainGPT(nn.Module):
    """GPT-2 with 4 layers of hidden_size 128, initialized and trained in the usual way."""

    def __init__(
        self, n_characters: int, hidden_size: int = 128, num_hidden_layers: int = 4, num_attention_heads: int = 4
    ) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(n_characters, hidden_size), nn.Embedding(BASELINE_LENGTH, hidden_size)
        self.blocks = nn.Sequential(*(PlainBlock(hidden_size, num_attention_heads) for _ in range(num_hidden_layers)))
        self.norm, self.head = nn.LayerNorm(hidden_size), nn.Linear(hidden_size, n_characters, bias=False)
        self.head.weight = self.tokens.weight
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                is_residual = name.endswith(("projection.weight", "feed_forward.2.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * num_hidden_layers) if is_residual else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Summed cross-entropy in nats."""
        hidden = self.tokens(tokens) + self.places(torch.arange(tokens.size(1)))
        logits = self.head(self.norm(self.blocks(hidden)))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")


def character_model() -> list[Line]:
    """One line: seconds of training without validation."""
    with worker(_baseline, {}) as theirs:
        seconds, goal = theirs()[1]
    with worker(partial(_ours, goal), START_SETTINGS) as ours:
        our_seconds, reached, n_steps = ours()[1]
    note = f"validation loss {goal:.3f}; ours {reached:.3f} after {n_steps} of {OUR_STEPS} steps"
    if reached > goal:
        note += ": NOT reached"
        our_seconds = math.inf
    name = "character model: time to the loss of a plain GPT-2 after 2,000 steps"
    return [Line(name, our_seconds, seconds, "s", our_seconds / seconds, 0.2, "lower", note)]


def _baseline() -> Action:
    return partial(_train_baseline, Text.read())


def _ours(goal: float) -> Action:
    PROCESS_SETTINGS.enter_context(keep_freed_memory())
    return partial(_train_ours, Text.read(), goal)


def _train_baseline(text: Text) -> tuple[float, float]:
    """Train the baseline; returns the seconds and the validation loss."""
    torch.manual_seed(1)
    model = PlainGPT(text.n_characters)
    decayed = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim != 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), fused=True)
    schedule = ScheduleConfig(
        warmup_steps=100, decay_type="cosine", decay_ratio=1.0, min_lr_ratio=0.1, restart_steps=()
    )
    draw = text.draw(BASELINE_BATCH, BASELINE_LENGTH, seed=1)
    start = time.perf_counter()
    for step in range(BASELINE_STEPS):
        tokens, targets = next(draw)
        (model.loss(tokens, targets) / targets.numel()).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * learning_rate_factor(schedule, step, BASELINE_STEPS)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return time.perf_counter() - start, text.validation_loss(model.loss)


def _train_ours(text: Text, goal: float) -> tuple[float, float, int]:
    """Train our model until the goal; returns the seconds, the loss, and the number of steps."""
    model = our_gpt(
        num_hidden_layers=4,
        hidden_size=128,
        num_attention_heads=4,
        vocabulary_size=text.n_characters,
        max_position_embeddings=OUR_LENGTH,
    )
    if native_bfloat16(pick_device()):
        model.compute_in(torch.bfloat16)
    optimizer = ModelOptimizer(model, OPTIMIZER)
    schedule = ScheduleConfig(warmup_steps=10, decay_type="linear", decay_ratio=0.8, min_lr_ratio=0.0, restart_steps=())
    draw, seconds, reached = text.draw(OUR_BATCH, OUR_LENGTH, seed=1), 0.0, math.inf
    for step in range(OUR_STEPS):
        start = time.perf_counter()
        tokens, targets = next(draw)
        (model.loss(tokens, targets) / targets.numel()).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(learning_rate_factor(schedule, step, OUR_STEPS))
        seconds += time.perf_counter() - start
        if (step + 1) % VALIDATION_EVERY == 0:
            reached = text.validation_loss(model.loss)
            if reached <= goal:
                break
    return seconds, reached, step + 1
