import numpy as np
import pytest

from lmcore.config.evaluate import BootstrapConfig
from lmcore.evaluation.clustered_proportions import clustered_difference, clustered_proportion
from lmcore.evaluation.intervals import Bootstrap, proportion, proportion_difference

CONFIG = BootstrapConfig(num_resamples=400, confidence=0.95)


def draw_answers(generator: np.random.Generator, n_documents: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The document of each question, 1 to 6 each, and which of them two systems answer right."""
    documents = np.repeat(np.arange(n_documents), generator.integers(1, 7, n_documents))
    skill = generator.beta(1.5, 1.0, n_documents)[documents]
    draws = generator.random((3, len(documents)))
    first = draws[0] < skill
    return documents, first, np.where(draws[1] < 0.5, first, draws[2] < 0.7 * skill)


def test_intervals_of_60_documents_contain_the_truth_in_about_95_percent_of_cases_as_those_of_questions_do_not():
    generator = np.random.default_rng(0)
    _, *everything = draw_answers(generator, 200_000)
    first, second = (hits.mean() for hits in everything)
    covered = {"alone": 0, "paired": 0, "taken as independent": 0}
    for case in range(300):
        documents, own, other = draw_answers(generator, 60)
        bootstrap = Bootstrap(len(own), CONFIG, case, documents.tolist())
        found = {
            "alone": (clustered_proportion(own, bootstrap), first),
            "paired": (clustered_difference(own, other, bootstrap), first - second),
            "taken as independent": (proportion(own, 0.95), first),
        }
        for name, (estimate, truth) in found.items():
            covered[name] += estimate.low <= truth <= estimate.high
    assert 0.92 <= covered["alone"] / 300 <= 0.98
    assert 0.92 <= covered["paired"] / 300 <= 0.985
    assert covered["taken as independent"] / 300 < 0.9


def test_independent_items_have_exact_intervals():
    hits, reference = np.arange(20) < 15, np.arange(20) > 8
    bootstrap = Bootstrap(20, CONFIG, 0, [str(number) for number in range(20)])
    assert clustered_proportion(hits, bootstrap) == proportion(hits, 0.95)
    assert clustered_difference(hits, reference, bootstrap) == proportion_difference(hits, reference, 0.95)


@pytest.mark.parametrize("value", [True, False])
def test_answers_that_are_all_right_or_all_wrong_are_no_more_certain_than_as_many_documents(value):
    hits = np.full(40, value)
    bootstrap = Bootstrap(40, CONFIG, 0, np.repeat(np.arange(10), 4).tolist())
    assert clustered_proportion(hits, bootstrap) == proportion(np.full(10, value), 0.95)
    assert clustered_difference(hits, ~hits, bootstrap) == proportion_difference(hits[:10], ~hits[:10], 0.95)
    same = clustered_difference(hits, hits, bootstrap)
    assert same.low < same.value == 0 < same.high
    assert same.p_value == 1


def test_a_single_document_gives_a_wide_interval():
    found = clustered_proportion(np.array([True, False, True]), Bootstrap(3, CONFIG, 0, ["a"] * 3))
    assert found.value == pytest.approx(2 / 3)
    assert found.high - found.low > 0.9
