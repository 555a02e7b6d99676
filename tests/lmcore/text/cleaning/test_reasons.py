from pydantic import BaseModel

from lmcore.text.cleaning.filters import FILTERS
from lmcore.text.cleaning.reasons import RULES
from tests.lmcore.text.cleaning_for_tests import LENIENT, configure_cleaning

EVERYTHING = configure_cleaning(
    filters=LENIENT,
    near_duplicates={"similarity": 0.8, "shingle_words": 2},
    contamination={"ngram_words": 3, "max_overlap": 0.5, "common_documents": 10},
    personal_data={"action": "drop", "kinds": ["email"], "phone_region": None},
    blocklist={"phrases": ["x"], "max_occurrences": 1, "words_per_occurrence": 500},
    identify_language={"kept": ["en"], "min_probability": 0.9, "min_characters": 1_000},
)


def test_every_rule_names_a_setting_that_there_is() -> None:
    assert {rule.__name__ for rule in FILTERS} < set(RULES)
    for path in filter(None, (rule.setting for rule in RULES.values())):
        section: object = EVERYTHING
        for name in path.split("."):
            assert isinstance(section, BaseModel)
            assert name in type(section).model_fields
            section = getattr(section, name)
