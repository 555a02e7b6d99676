from pathlib import Path

import pytest

from lmcore.config.tokenize import BytePairConfig, WordsConfig
from lmcore.runtime.artifact_cache import ArtifactCache
from lmcore.runtime.workers import Workers
from lmcore.tokens.corpus.report import token_statistics
from lmcore.tokens.corpus.shards import write_shards
from lmcore.tokens.tokenizer.training import train_tokenizer
from tests.lmcore.tokens.corpus.test_shards import FRACTIONS, TOKENIZER, write, write_documents


def test_the_summary_and_the_page_say_what_tokens_are_worth(tmp_path: Path) -> None:
    splits = write(tmp_path, write_documents(tmp_path))["splits"]
    held = splits["validation"]
    assert held["tokens_per_word"] == pytest.approx(held["n_tokens"] / 2)
    assert held["bytes_per_token"] == pytest.approx(len("Held out.") / held["n_tokens"], abs=1e-4)
    assert held["unknown_ratio"] == 0.0
    used = set(TOKENIZER.encode("Held out.")) | {TOKENIZER.vocabulary.end_of_text_id}
    assert held["used_vocabulary_ratio"] == pytest.approx(len(used) / TOKENIZER.vocabulary.size, abs=1e-4)
    page = (tmp_path / "tokens/tokenizer.md").read_text(encoding="utf-8")
    assert "| train | 4 |" in page
    assert "`e`" in page
    assert "does not preserve" not in page


def test_unknown_words_are_counted(tmp_path: Path) -> None:
    config = WordsConfig(kind="words", language=None, max_words=None, min_count=1, lowercase=False)
    tokenizer = train_tokenizer(["The first document."], config)
    with Workers(1) as workers:
        summary = write_shards(
            tmp_path / "tokens",
            tokenizer,
            write_documents(
                tmp_path, {"train": ["The first document.", "The second one."], "validation": ["The"], "test": ["A"]}
            ),
            FRACTIONS,
            weights={},
            cache=ArtifactCache(tmp_path / "cache", ""),
            workers=workers,
        )
    assert summary["splits"]["train"]["unknown_ratio"] == 2 / 8
    assert summary["splits"]["validation"]["unknown_ratio"] == 0.0
    assert summary["splits"]["test"]["unknown_ratio"] == 1 / 2
    page = (tmp_path / "tokens/tokenizer.md").read_text(encoding="utf-8")
    assert "The tokenizer does not preserve newlines, tabs, runs of spaces: do not compare bits per byte" in page


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is Linux's own count")
def test_a_large_shard_is_counted_without_being_resident(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(["a b c"], BytePairConfig(kind="byte_pair", vocabulary_size=300))
    with (tmp_path / "train.bin").open("wb") as file:
        file.truncate(600_000_000)  # A hole: zeros that take no room on the disk.
    size = {"n_tokens": 300_000_000, "n_characters": 1, "n_bytes": 1, "n_words": 1}
    Path("/proc/self/clear_refs").write_text("5")  # Forget the peak so far.
    before = peak_bytes()
    rates = token_statistics(tmp_path / "train.bin", size, tokenizer)
    assert rates["used_vocabulary_ratio"] == round(1 / tokenizer.vocabulary.size, 4)
    assert peak_bytes() - before < 200_000_000


def peak_bytes() -> int:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
