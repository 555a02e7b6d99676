import pytest

from lmcore.evaluation.completion_baselines import completion_baselines, first_sentence, most_frequent
from tests.lmcore.evaluation.evaluation_settings import CONFIG

TRAINING = (
    ["numpy array of zeros with a shape", "prefect flow with a task", "plot of a line in matplotlib", "another flow"],
    ["Make zeros.", "Run a flow.", "Plot a line.", "Run a flow."],
)


def test_the_nearest_neighbor_copies_the_completion_of_the_most_similar_training_prompt():
    prompts = ["an array of zeros. It has a shape.", "a matplotlib plot of a dotted line"]
    found = completion_baselines(TRAINING, (TRAINING[0], TRAINING[1]), prompts, CONFIG.completion)
    assert found.completions["nearest_neighbor"] == ["Make zeros.", "Plot a line."]
    assert found.completions["most_frequent_completion"] == ["Run a flow."] * 2
    assert found.completions["first_sentence"] == ["an array of zeros.", prompts[1]]
    assert found.completions["whole_prompt"] == prompts
    assert found.validation["nearest_neighbor"] > 99
    assert found.strongest == "nearest_neighbor"


def test_features_and_the_strongest_baseline_are_selected_on_the_validation_split():
    training = (["rising prices", "falling rain"], ["up", "down"])
    # Whole words are new; their endings are known.
    validation = (["uprising sprices", "befalling drain"], ["up", "down"])
    found = completion_baselines(training, validation, ["surprising"], CONFIG.completion)
    assert found.names["nearest_neighbor"] == "nearest training prompt (n-grams of characters)"
    copied = (["First. Second.", "Third. Fourth."], ["First.", "Third."])
    assert completion_baselines(training, copied, ["x"], CONFIG.completion).strongest == "first_sentence"


def test_without_validation_examples_there_are_baselines_too():
    found = completion_baselines(TRAINING, ([], []), ["flow"], CONFIG.completion)
    assert found.strongest == "nearest_neighbor"
    assert found.completions["nearest_neighbor"] == ["Run a flow."]


def test_the_most_frequent_text_is_on_ties_the_first_in_alphabetical_order():
    assert most_frequent(["b", "a", "b", "a", "c"]) == "a"
    assert most_frequent([]) == ""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Return the sum. Then more.", "Return the sum."),
        ("One line\nand another\n\nA paragraph", "One line and another"),
        ("Version 3.11 is out! Yes.", "Version 3.11 is out!"),
        ("  no end at all", "no end at all"),
        ("A name (e.g. an id) of it. More.", "A name (e.g. an id) of it."),
        ("今天下雨。明天不下。", "今天下雨。"),
        ("", ""),
    ],
)
def test_the_first_sentence_ends_at_a_full_stop_or_a_blank_line(text, sentence):
    assert first_sentence(text) == sentence
