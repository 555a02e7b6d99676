"""Overlap of generated texts with their references: BLEU, chrF and ROUGE.

Sources: Papineni et al. (2002), https://aclanthology.org/P02-1040; Popović (2015),
https://aclanthology.org/W15-3049; Lin (2004), https://aclanthology.org/W04-1013. BLEU and chrF are those of
sacreBLEU (Post 2018, https://aclanthology.org/W18-6319), whose signatures state exactly how they are computed.

How texts are split into words depends on the script of the references: in scripts without spaces, each character is a
word.
"""

import re
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from lmcore.evaluation.intervals import Floats, Measure, ratio
from lmcore.evaluation.texts.statistics import MetricOfSums, TextMetric
from lmcore.text.words.segmentation import bare_words_of, count_unspaced

ROUGE = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
"""The metrics by the names that the package has for them."""
HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")


def overlap_metrics(texts: Sequence[str], references: Sequence[str]) -> dict[str, TextMetric]:
    """``bleu``, ``chrf``, ``rouge_1``, ``rouge_2`` and ``rouge_l`` of texts, 0 to 100.

    BLEU and chrF sum the matches over all texts, then divide; ROUGE is the mean F-measure of the texts.
    """
    return {
        "bleu": _sacrebleu(BLEU(tokenize=_bleu_tokenizer(references)), _bleu, texts, references),
        "chrf": _sacrebleu(CHRF(), _chrf, texts, references),
        **_rouge(texts, references),
    }


def _sacrebleu(metric: Metric, measure: Measure, texts: Sequence[str], references: Sequence[str]) -> MetricOfSums:
    # sacreBLEU's own resampling reads its seed from the environment. Its counts of matches per text and the metric of
    # many sums at once are not part of its public interface, so tests compare the results with its public functions.
    statistics = np.asarray(metric._extract_corpus_statistics(texts, [references]), dtype=np.float64)
    return MetricOfSums(statistics, measure, 100.0, str(metric.get_signature()))


def _bleu(sums: Floats) -> Floats:
    """BLEU from lengths of texts and references, then matches and n-grams of each order, with NIST's smoothing."""
    length, reference = sums[..., 0], sums[..., 1]
    matches, n_grams = np.split(sums[..., 2:], 2, axis=-1)
    # Each order without a match counts half as much as the previous one.
    expected = np.where(matches > 0, matches, 0.5 ** np.cumsum(matches == 0, axis=-1))
    precisions = _divide(expected, n_grams)
    is_zero = (matches == 0).all(axis=-1) | (n_grams == 0).any(axis=-1)
    means = np.log(np.where(precisions > 0, precisions, 1.0)).mean(axis=-1)
    brevity = np.minimum(1.0 - _divide(reference, length), 0.0)
    return np.where(is_zero, 0.0, 100.0 * np.exp(means + brevity))


def _chrf(sums: Floats) -> Floats:
    """chrF from the n-grams of each order in texts, in references, and in both."""
    triples = sums.reshape(*sums.shape[:-1], -1, 3)
    texts, references, both = triples[..., 0], triples[..., 1], triples[..., 2]
    counts = (texts > 0) & (references > 0)
    n_orders = np.maximum(counts.sum(axis=-1), 1)
    precision = (_divide(both, texts) * counts).sum(axis=-1) / n_orders
    recall = (_divide(both, references) * counts).sum(axis=-1) / n_orders
    weight = CHRF.BETA**2
    return 100.0 * _divide((1 + weight) * precision * recall, weight * precision + recall)


def _divide(part: Floats, whole: Floats) -> Floats:
    """Division that is zero where the divisor is."""
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole > 0)


def _bleu_tokenizer(references: Sequence[str]) -> str:
    """sacreBLEU's name of a tokenizer: the default, the Chinese one, or characters in other scripts without spaces."""
    joined = "".join(references)
    n_unspaced = count_unspaced(joined)
    if 2 * n_unspaced <= len(joined):
        return "13a"
    return "zh" if 2 * len(HAN.findall(joined)) > n_unspaced else "char"


class _WordsOfAnyScript(Tokenizer):  # type: ignore[misc]  # The package has no types.
    """Splits text of any script into lower-case words, as the package's own tokenizer does with Latin letters."""

    def tokenize(self, text: str) -> list[str]:
        return bare_words_of(text.lower())


def _rouge(texts: Sequence[str], references: Sequence[str]) -> dict[str, TextMetric]:
    # The package's own tokenizer knows ASCII letters only.
    letters = "".join(filter(str.isalpha, "".join(references)))
    is_ascii = 2 * len(letters.encode("ascii", "ignore")) >= len(letters)
    scorer = RougeScorer(list(ROUGE.values()), use_stemmer=False, tokenizer=None if is_ascii else _WordsOfAnyScript())
    scores = [scorer.score(reference, text) for text, reference in zip(texts, references, strict=True)]
    words = "" if is_ascii else "|words:any script"
    return {
        name: MetricOfSums(
            np.array([(100 * score[variant].fmeasure, 1.0) for score in scores]).reshape(len(scores), 2),
            ratio,
            100.0,
            f"rouge-score {variant}|f-measure|stemmer:no{words}|version:{version('rouge-score')}",
        )
        for name, variant in ROUGE.items()
    }
