import numpy as np
import pytest
import sacrebleu
from rouge_score import rouge_scorer

from lmcore.config.evaluate import BootstrapConfig
from lmcore.evaluation.intervals import Bootstrap
from lmcore.evaluation.texts.metrics import TextMetrics

BOOTSTRAP = BootstrapConfig(num_resamples=200, confidence=0.95)
WORDS = ["return", "the", "sum", "of", "an", "array", "over", "its", "last", "axis", "compute", "a", "new", "tensor"]


def random_texts(seed: int, n_texts: int) -> tuple[list[str], list[str]]:
    generator = np.random.default_rng(seed)
    references = [" ".join(generator.choice(WORDS, generator.integers(4, 12))) + "." for _ in range(n_texts)]
    texts = [
        " ".join(word if generator.random() < 0.8 else str(generator.choice(WORDS)) for word in reference.split())
        for reference in references
    ]
    return texts, references


def test_metrics_are_those_of_sacrebleu_and_rouge_score():
    texts, references = random_texts(0, 60)
    metrics = TextMetrics(texts, references).metrics(Bootstrap(60, BOOTSTRAP, seed=0))
    assert metrics["bleu"].value == pytest.approx(sacrebleu.corpus_bleu(texts, [references]).score)
    assert metrics["chrf"].value == pytest.approx(sacrebleu.corpus_chrf(texts, [references]).score)
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"])
    scores = [scorer.score(r, t) for r, t in zip(references, texts, strict=True)]
    for name, variant in (("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")):
        assert metrics[name].value == pytest.approx(100 * np.mean([score[variant].fmeasure for score in scores]))


@pytest.mark.parametrize(
    ("tokenizer", "words"),
    [
        ("zh", "他每天早上都去公园散步看见很多有趣的书"),
        ("char", "かれはまいあさこうえんをさんぽしてほんをよむ"),
        ("13a", ["мой", "брат", "читает", "книгу", "утром", "дома", "вечером"]),
    ],
)
def test_words_are_found_in_any_script(tokenizer, words):
    generator = np.random.default_rng(7)
    between = " " if isinstance(words, list) else ""
    references = [between.join(generator.choice(list(words), 12)) + "." for _ in range(20)]
    texts = [reference[:-1].replace(words[0], words[1]) for reference in references]
    overlap = TextMetrics(texts, references)
    metrics = overlap.metrics(Bootstrap(20, BOOTSTRAP, seed=0))
    expected = sacrebleu.corpus_bleu(texts, [references], tokenize=tokenizer).score
    assert metrics["bleu"].value == pytest.approx(expected)
    assert 20 < expected < 100
    common = [len(reference.split()) if between else len(reference) - 1 for reference in references]
    lost = [reference.count(words[0]) for reference in references]
    fraction = np.mean([1 - n_lost / n_words for n_lost, n_words in zip(lost, common, strict=True)])
    assert metrics["rouge_l"].value == pytest.approx(100 * fraction)
    assert f"tok:{tokenizer}" in overlap.signatures["bleu"]
    assert "words:any script" in overlap.signatures["rouge_l"]


@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_intervals_are_those_of_sacrebleu_over_drawn_texts(metric):
    texts, references = random_texts(1, 30)
    estimate = TextMetrics(texts, references).metrics(Bootstrap(30, BOOTSTRAP, seed=0))[metric]
    score = {"bleu": sacrebleu.corpus_bleu, "chrf": sacrebleu.corpus_chrf}[metric]
    generator = np.random.default_rng(2)
    drawn = [generator.integers(0, 30, 30) for _ in range(100)]
    scores = [score([texts[i] for i in sample], [[references[i] for i in sample]]).score for sample in drawn]
    expected = np.quantile(scores, [0.025, 0.975])
    np.testing.assert_allclose([estimate.low, estimate.high], expected, atol=3)
    assert estimate.low < estimate.value < estimate.high


def test_texts_equal_to_their_references_reach_100_and_empty_ones_0():
    references = random_texts(3, 10)[1]
    bootstrap = Bootstrap(10, BOOTSTRAP, seed=0)
    perfect = TextMetrics(references, references)
    empty = TextMetrics([""] * 10, references)
    for name in ("bleu", "chrf", "rouge_1", "rouge_2", "rouge_l"):
        assert perfect.metrics(bootstrap)[name].value == pytest.approx(100)
        found = empty.metrics(bootstrap)[name]
        assert (found.value, found.low, found.high) == (0, 0, 0)
        assert perfect.differences(empty, bootstrap)[name].low == pytest.approx(100)


def test_a_difference_is_that_of_the_metrics_and_paired():
    worse, references = random_texts(4, 40)
    better = [
        reference if index % 2 else text for index, (text, reference) in enumerate(zip(worse, references, strict=True))
    ]
    bootstrap = Bootstrap(40, BOOTSTRAP, seed=0)
    first, second = TextMetrics(better, references), TextMetrics(worse, references)
    differences = first.differences(second, bootstrap)
    for name in ("bleu", "chrf", "rouge_1", "rouge_2", "rouge_l", "token_f1"):
        difference = differences[name]
        expected = first.metrics(bootstrap)[name].value - second.metrics(bootstrap)[name].value
        assert difference.value == pytest.approx(expected)
        assert 0 < difference.low < difference.high
        assert difference.p_value < 0.05


def test_signatures_tell_how_the_metrics_are_computed():
    signatures = TextMetrics(["a b"], ["a b"]).signatures
    assert signatures["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert signatures["chrf"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")
    assert "rougeL" in signatures["rouge_l"]
