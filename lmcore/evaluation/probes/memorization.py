"""How much of its training text a model reproduces word for word.

A text of the training split is cut into a prefix and a continuation; greedy decoding from the prefix either gives
exactly the continuation or not. The same continuations are tried after prefixes of several lengths, separately by how
often the text occurs in the training split. Texts of the test split that do not occur in it show how often a
continuation can be guessed.

Source: Carlini et al. (2023), "Quantifying Memorization Across Neural Language Models",
https://arxiv.org/abs/2202.07646.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from lmcore.config.evaluate import MemorizationConfig
from lmcore.config.generation import greedy_decoding
from lmcore.evaluation.intervals import proportion
from lmcore.evaluation.language_models.likelihood import Tokens
from lmcore.evaluation.probes.probe import Probe, ProbeRow
from lmcore.generation.decoding import generate
from lmcore.models.generative import CausalModel
from lmcore.tokens.corpus.shards import TokenShards

Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]

GROUPS = {"once": (1, 1), "2 or 3 times": (2, 3), "4 times or more": (4, np.inf)}
"""How often a text occurs in the training split."""
UNSEEN = "never (test split)"
MAX_CANDIDATES = 20_000
TOKENS_AT_ONCE = 1 << 22
BASE = np.uint64(0x9E3779B97F4A7C15)
INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))
BATCH_SIZE = 100


def probe_memorization(
    model: CausalModel, shards: TokenShards, config: MemorizationConfig, *, seed: int, confidence: float
) -> Probe:
    """The fraction of continuations that greedy decoding reproduces; no rows if no text is long enough.

    Args:
        model: the model, on its device.
        shards: the corpus that it was trained on.
        config: lengths and number of texts.
        seed: the seed of the sample of texts.
        confidence: that of the intervals.
    """
    longest = max(config.prefix_tokens)
    texts = sample_texts(shards, longest + config.continuation_tokens, config.max_texts, seed)
    limit = model.max_position_embeddings
    rows = []
    for length in config.prefix_tokens:
        if limit is not None and length + config.continuation_tokens > limit:
            continue
        for group, tokens in texts.items():
            hits = _is_reproduced(model, tokens[:, longest - length :], config.continuation_tokens)
            rows.append(ProbeRow((f"prefix of {length} tokens", group), len(tokens), proportion(hits, confidence)))
    method = (
        f"Greedy decoding from the first tokens of a text, compared with the {config.continuation_tokens} tokens that "
        "follow; texts of the test split that do not occur in training show how often they can be guessed."
    )
    return Probe(
        name="memorization",
        title="Verbatim memorization",
        method=method,
        measure="reproduced texts",
        unit="fraction",
        conditions=("prefix", "text occurs in training"),
        rows=rows,
        across="prefix",
    )


def sample_texts(shards: TokenShards, length: int, max_texts: int, seed: int) -> Mapping[str, Tokens]:
    """Random texts of ``length`` tokens, int64 (at most max_texts, length), by how often they occur in training.

    Groups without texts are left out.
    """
    generator = np.random.default_rng(seed)
    training, test = shards.tokens("train"), shards.tokens("test")
    drawn = _draw_windows(training, shards.offsets("train"), length, generator)
    unseen = _draw_windows(test, shards.offsets("test"), length, generator)
    counts = count_occurrences(training, np.concatenate((drawn, unseen)))
    of_training, of_test = counts[: len(drawn)], counts[len(drawn) :]
    found = {UNSEEN: unseen[of_test == 0]}
    for group, (fewest, most) in GROUPS.items():
        found[group] = np.unique(drawn[(of_training >= fewest) & (of_training <= most)], axis=0)
    return {
        group: texts[np.sort(generator.permutation(len(texts))[:max_texts])]
        for group, texts in found.items()
        if len(texts)
    }


def count_occurrences(tokens: Tokens, texts: Tokens) -> Integers:
    """How often each text, integers (n_texts, length), occurs in a token stream, (n_texts,); by hashes of 64 bits."""
    length = texts.shape[1]
    if not len(texts):
        return np.zeros(0, np.int64)
    wanted = (_mixed(texts) * np.cumprod(np.full(length, BASE)) * INVERSE).sum(axis=1, dtype=np.uint64)
    known, position = np.unique(wanted, return_inverse=True)
    counts = np.zeros(len(known), np.int64)
    for hashes in _window_hashes(tokens, length):
        found = np.searchsorted(known, hashes)
        found[found == len(known)] = 0
        counts += np.bincount(found[known[found] == hashes], minlength=len(known))
    return counts[position]


def _draw_windows(tokens: Tokens, offsets: Integers, length: int, generator: np.random.Generator) -> Tokens:
    """Random runs of tokens that lie within one document without its end token, int64 (n_windows, length)."""
    room = np.maximum(np.diff(offsets) - length, 0)  # possible starts in each document
    ends = np.cumsum(room)
    total = int(ends[-1]) if len(ends) else 0
    positions = np.sort(generator.choice(total, size=min(MAX_CANDIDATES, total), replace=False))
    documents = np.searchsorted(ends, positions, side="right")
    starts = offsets[documents] + positions - (ends[documents] - room[documents])
    found = [np.asarray(tokens[start : start + length], np.int64) for start in starts]
    return np.stack(found) if found else np.empty((0, length), np.int64)


def _window_hashes(tokens: Tokens, length: int) -> Iterator[Hashes]:
    """A hash of every run of ``length`` tokens, in parts: the polynomial with the tokens' mixed values."""
    for start in range(0, max(len(tokens) - length + 1, 1), TOKENS_AT_ONCE):
        part = tokens[start : start + TOKENS_AT_ONCE + length - 1]
        powers = np.cumprod(np.concatenate((np.ones(1, np.uint64), np.full(len(part), BASE))))
        sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(_mixed(part) * powers[:-1])))
        inverse = np.cumprod(np.concatenate((np.ones(1, np.uint64), np.full(len(part), INVERSE))))
        n_windows = max(len(part) - length + 1, 0)
        yield (sums[length : length + n_windows] - sums[:n_windows]) * inverse[:n_windows]


def _mixed(tokens: Tokens) -> Hashes:
    """A value of 64 bits for each token."""
    values = (np.asarray(tokens).astype(np.uint64) + np.uint64(1)) * BASE
    return values ^ (values >> np.uint64(29))


def _is_reproduced(model: CausalModel, texts: Tokens, n_tokens: int) -> npt.NDArray[np.bool_]:
    """Whether greedy decoding from each text without its last tokens gives exactly these, bool (n_texts,)."""
    config = greedy_decoding(n_tokens)
    found = []
    for start in range(0, len(texts), BATCH_SIZE):
        batch = texts[start : start + BATCH_SIZE].tolist()
        answers = generate(model, [text[:-n_tokens] for text in batch], config)
        found += [answer == text[-n_tokens:] for answer, text in zip(answers, batch, strict=True)]
    return np.array(found, bool)
