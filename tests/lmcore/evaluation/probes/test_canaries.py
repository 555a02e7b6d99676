import math
from pathlib import Path

import numpy as np
import pytest

from lmcore.config.evaluate import BootstrapConfig, CanariesConfig
from lmcore.errors import UserError
from lmcore.evaluation.probes.canaries import make_canaries, probe_canaries, probe_canary_extraction, redrawn

RECIPE = Path(__file__).parents[4] / "recipes/canaries"
BOOTSTRAP = BootstrapConfig(num_resamples=200, confidence=0.95)
CONFIG = CanariesConfig(sources=("canaries",), num_alternatives=63)


def test_only_the_secret_is_drawn_anew_and_every_letter_stays_of_its_kind():
    other = redrawn("The PIN 12 of Ann: Ab-90 x", np.random.default_rng(0))
    text, _, secret = other.rpartition(":")
    assert text == "The PIN 12 of Ann"
    assert secret != " Ab-90 x"
    pattern = ["A" if c.isupper() else "a" if c.islower() else "9" if c.isdigit() else c for c in secret]
    assert "".join(pattern) == " Aa-99 a"


@pytest.mark.parametrize("text", ["no colon", "nothing after: ...", ""])
def test_a_text_without_a_secret_is_an_error_that_shows_it(text):
    with pytest.raises(UserError, match="is not a canary"):
        redrawn(text, np.random.default_rng(0))


def test_a_secret_that_the_model_knows_has_the_highest_exposure_and_an_unknown_one_about_1_4():
    known, unknown = make_canaries(20, 0), make_canaries(40, 1)
    generator = np.random.default_rng(2)

    def score(texts):
        return np.array([0.0 if text in known else -10 - generator.random() for text in texts])

    probe = probe_canaries(score, {4: known, 1: unknown}, CONFIG, seed=0, bootstrap=BOOTSTRAP)
    exposures = {row.conditions[0]: row.estimate for row in probe.rows}
    assert exposures["4 times"].value == 6.0
    expected = np.mean([6 - math.log2(rank) for rank in range(1, 65)])
    for group in ("once", "never (new secrets)"):
        assert exposures[group].low < expected < exposures[group].high
        assert exposures[group].high < 3


def test_a_secret_is_written_out_if_greedy_decoding_gives_it_letter_by_letter():
    known, unknown = make_canaries(3, 0), make_canaries(5, 1)
    after = {prefix: secret for prefix, _, secret in (text.rpartition(":") for text in known)}

    def complete(prefixes):
        assert all(prefix.endswith("is:") for prefix in prefixes)
        return [f"{after.get(prefix[:-1], ' nothing')} and more" for prefix in prefixes]

    probe = probe_canary_extraction(complete, {16: known, 1: unknown[3:]}, confidence=0.95)
    assert {row.conditions[0]: (row.n_items, row.estimate.value) for row in probe.rows} == {
        "once": (2, 0.0),
        "16 times": (3, 1.0),
    }


def test_the_recipe_plants_canaries_of_this_module():
    planted = {file.stem: file.read_text("utf-8").splitlines() for file in RECIPE.glob("*.txt")}
    assert set(planted) == {"once", "4-times", "16-times"}
    for seed, name in enumerate(("once", "4-times", "16-times")):
        assert planted[name] == make_canaries(10, seed, first=10 * seed + 1)
