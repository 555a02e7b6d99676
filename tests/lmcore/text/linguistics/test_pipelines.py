import time
from pathlib import Path

import pytest
import spacy
from spacy.training import Example

from lmcore.text.linguistics.documents import analyze_documents
from lmcore.text.linguistics.pipelines import load_trained, person_finder, pipeline_identity
from lmcore.text.words.analysis import analyze
from tests.lmcore.text.cleaning_for_tests import configure_cleaning

SENTENCES = [
    (["Ada", "reads", "books", "."], ["PROPN", "VERB", "NOUN", "PUNCT"]),
    (["Ben", "writes", "letters", "."], ["PROPN", "VERB", "NOUN", "PUNCT"]),
    (["Ada", "writes", "books", "."], ["PROPN", "VERB", "NOUN", "PUNCT"]),
]
TEXT = "Ada writes letters. Ben reads books.\n"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small tagger that is trained here, with rules for lemmas and names, saved as any pipeline is."""
    trained = spacy.blank("en")
    tagger = trained.add_pipe("tagger")
    examples = []
    for words, tags in SENTENCES:
        document = spacy.tokens.Doc(trained.vocab, words=words)
        examples.append(Example.from_dict(document, {"words": words, "tags": tags}))
        for tag in tags:
            tagger.add_label(tag)
    optimizer = trained.initialize(lambda: examples)
    for _ in range(30):
        trained.update(examples, sgd=optimizer)
    names = trained.add_pipe("entity_ruler")
    names.add_patterns([{"label": "PERSON", "pattern": "Ada"}, {"label": "PERSON", "pattern": "Ben"}])
    folder = tmp_path_factory.mktemp("pipelines") / "tiny"
    trained.to_disk(folder)
    return str(folder)


def test_a_pipeline_that_was_trained_and_saved_tags_and_finds_names(pipeline: str) -> None:
    table = analyze_documents(
        [TEXT, "这是中文。", "Ada reads letters."],
        ["en", "zh", "en"],
        pipeline=pipeline,
        pipeline_language="en",
        annotations=("tags", "entities"),
    )
    first, chinese, last = table.to_pylist()
    assert first["tags"] == ["PROPN", "VERB", "NOUN", "PUNCT"] * 2
    assert first["entities"] == [{"start": 0, "end": 1, "label": "PERSON"}, {"start": 4, "end": 5, "label": "PERSON"}]
    assert first["lemmas"] is None
    assert last["tags"] == ["PROPN", "VERB", "NOUN", "PUNCT"]
    assert chinese["tags"] is None
    assert chinese["n_words"] == 4


def test_tokens_and_sentences_are_those_of_the_rules_where_the_pipeline_has_no_others(pipeline: str) -> None:
    with_pipeline = analyze_documents([TEXT], ["en"], pipeline=pipeline, pipeline_language="en", annotations=("tags",))
    names = ["n_words", "token_ends", "sentence_ends"]
    assert with_pipeline.select(names) == analyze([TEXT], "en").select(names)


def test_a_run_of_brackets_takes_a_pipeline_no_minutes_either(pipeline: str) -> None:
    text = f"Ada reads {'(' * 50_000} books."
    start = time.process_time()
    with_pipeline = analyze_documents([text], ["en"], pipeline=pipeline, pipeline_language="en", annotations=("tags",))
    assert time.process_time() - start < 60
    assert with_pipeline["token_ends"] == analyze([text], "en")["token_ends"]


def test_names_of_persons_are_found_with_their_spans(pipeline: str) -> None:
    assert [TEXT[start:end] for start, end in person_finder(pipeline)(TEXT)] == ["Ada", "Ben"]


def test_a_pipeline_that_lacks_what_is_asked_for_says_what_it_has(pipeline: str) -> None:
    with pytest.raises(ValueError, match=r"no lemmas: it has tagger, entity_ruler, and one of lemmatizer, .*needed"):
        load_trained(pipeline, ("tags", "lemmas"))


def test_a_pipeline_that_is_not_installed_says_how_to_install_one() -> None:
    with pytest.raises(ValueError, match=r"the spaCy pipeline 'en_core_web_lg' cannot be loaded: install one"):
        load_trained("en_core_web_lg", ("tags",))


def test_a_pipeline_with_other_files_is_another_pipeline(pipeline: str) -> None:
    before = pipeline_identity(pipeline)
    assert pipeline_identity(pipeline) == before
    (Path(pipeline) / "note.txt").write_text("changed", encoding="utf-8")
    assert pipeline_identity(pipeline) != before


def test_a_configuration_with_a_pipeline_may_ask_for_everything(pipeline: str) -> None:
    config = configure_cleaning(pipeline=pipeline, annotations=["tags", "entities"])
    assert config.annotations == ("tags", "entities")
