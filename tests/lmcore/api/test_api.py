"""``import lmcore``: what its functions give, and what they say of what they cannot use."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import transformers

import lmcore

TEXTS = [f"The {color} {animal} sleeps." for color in ("red", "blue", "old") for animal in ("cat", "dog", "fox")] * 3
PAIRS = [(text, "cat" if "cat" in text else "other") for text in TEXTS]
SMALL: dict[str, Any] = {"max_steps": 6, "hidden_size": 32, "num_hidden_layers": 1, "max_position_embeddings": 32}


@pytest.fixture(scope="module")
def model() -> lmcore.LanguageModel:
    return lmcore.train(TEXTS, **SMALL)


@pytest.fixture(scope="module")
def classifier() -> lmcore.TextClassifier:
    return lmcore.train_classifier(PAIRS, max_steps=60, hidden_size=32, num_hidden_layers=1)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt2")
    lmcore.train(TEXTS, **SMALL, family="gpt2").save_huggingface(folder)
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    save_tiny_bert(folder)
    return folder


def save_tiny_bert(folder: Path) -> None:
    """A folder as ``transformers`` saves it."""
    backend = tokenizers.BertWordPieceTokenizer()
    backend.train_from_iterator(TEXTS, vocab_size=120, show_progress=False)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=backend.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer.from_str(backend.to_str()), pad_token="[PAD]", mask_token="[MASK]"
    ).save_pretrained(folder)


def test_importing_it_is_light_and_every_name_is_there() -> None:
    program = "import sys, lmcore; print('torch' in sys.modules, 'numpy' in sys.modules, *dir(lmcore))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", *sorted(lmcore.__all__)]
    assert all(getattr(lmcore, name) for name in lmcore.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trane'"):
        lmcore.trane  # noqa: B018


def test_the_same_seed_gives_the_same_model_and_the_process_keeps_its_random_state(
    model: lmcore.LanguageModel,
) -> None:
    state = torch.get_rng_state()
    again = lmcore.train(TEXTS, **SMALL)
    assert torch.equal(torch.get_rng_state(), state)
    weights = again.model.state_dict()
    assert all(torch.equal(weights[name], weight) for name, weight in model.model.state_dict().items())


def test_the_streamed_parts_are_the_generated_text(model: lmcore.LanguageModel) -> None:
    text = model.generate("The red", max_new_tokens=12, temperature=1.0, seed=3)
    assert text
    assert "".join(model.stream("The red", max_new_tokens=12, temperature=1.0, seed=3)) == text
    assert model.generate("The red", max_new_tokens=5, num_beams=3) == model.generate(
        "The red", max_new_tokens=5, num_beams=3, seed=9
    )


def test_perplexity_and_bits_per_byte_are_those_of_the_logits(model: lmcore.LanguageModel) -> None:
    text = TEXTS[0]
    tokens = model.tokenizer.encode(text)
    inputs = torch.tensor([[model.tokenizer.vocabulary.end_of_text_id, *tokens[:-1]]])
    with torch.no_grad():
        logits = model.model(inputs.to(model.model.device)).cpu()
    loss = torch.nn.functional.cross_entropy(logits[0], torch.tensor(tokens)).item()
    assert model.perplexity(text) == pytest.approx(torch.tensor(loss).exp().item(), rel=1e-4)
    assert model.bits_per_byte(text) == pytest.approx(loss * len(tokens) / 0.693147 / len(text), rel=1e-4)


def test_a_classifier_learns_its_labels(classifier: lmcore.TextClassifier) -> None:
    assert classifier.labels == ("cat", "other")
    assert classifier.predict("The old cat sleeps.") == "cat"
    assert sum(classifier.probabilities("The old cat sleeps.").values()) == pytest.approx(1)
    assert classifier.accuracy(PAIRS) == 1.0
    assert classifier.accuracy([("The old cat sleeps.", "other"), ("The old cat sleeps.", "cat")]) == 0.5


def test_a_classifier_learns_any_number_of_labels_and_is_saved_with_its_temperature(tmp_path: Path) -> None:
    examples = [(text, [word for word in ("red", "old", "cat") if word in text]) for text in TEXTS]
    classifier = lmcore.train_classifier(
        examples, max_steps=80, hidden_size=32, num_hidden_layers=1, class_weights="balanced"
    )
    assert classifier.labels == ("cat", "old", "red")
    assert classifier.predict("The old cat sleeps.") == ("cat", "old")
    assert classifier.predict("The blue dog sleeps.") == ()
    assert classifier.accuracy(examples) == 1.0
    assert classifier.model.temperature != 1.0
    classifier.save(tmp_path / "labels")
    loaded = lmcore.load(tmp_path / "labels")
    assert isinstance(loaded, lmcore.TextClassifier)
    assert loaded.probabilities(TEXTS[0]) == classifier.probabilities(TEXTS[0])


def test_fine_tuning_a_classifier_leaves_the_language_model_as_it_is(model: lmcore.LanguageModel) -> None:
    before = model.perplexity(TEXTS[0])
    model.train_classifier(PAIRS, max_steps=3)
    assert model.perplexity(TEXTS[0]) == before


def test_training_further_lowers_the_loss_of_the_new_texts(model: lmcore.LanguageModel) -> None:
    other = lmcore.train(TEXTS, **SMALL)
    before = other.perplexity("A tree grows.")
    assert other.train(["A tree grows."] * 30, max_steps=20) is other
    assert other.perplexity("A tree grows.") < before


def test_a_saved_model_is_the_one_that_is_loaded(
    tmp_path: Path, model: lmcore.LanguageModel, classifier: lmcore.TextClassifier
) -> None:
    model.save(tmp_path / "model")
    classifier.save(tmp_path / "classifier")
    loaded = lmcore.load(tmp_path / "model")
    assert isinstance(loaded, lmcore.LanguageModel)
    assert loaded.perplexity(TEXTS[0]) == model.perplexity(TEXTS[0])
    loaded.save(tmp_path / "again")
    assert {file.name: file.read_bytes() for file in (tmp_path / "again").iterdir()} == {
        file.name: file.read_bytes() for file in (tmp_path / "model").iterdir()
    }
    other = lmcore.load(tmp_path / "classifier")
    assert isinstance(other, lmcore.TextClassifier)
    assert other.probabilities(TEXTS[0]) == classifier.probabilities(TEXTS[0])


def test_a_gpt2_goes_on_training_and_is_exported_with_the_logits_that_transformers_gives(
    tmp_path: Path, gpt2: Path
) -> None:
    model = lmcore.load_huggingface(gpt2)
    assert isinstance(model, lmcore.LanguageModel)
    model.train(TEXTS, max_steps=3).save_huggingface(tmp_path / "out")
    check_logits(model, transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out"))


def test_a_bert_goes_on_training_and_is_exported_with_the_logits_that_transformers_gives(
    tmp_path: Path, bert: Path
) -> None:
    model = lmcore.load_huggingface(bert)
    assert isinstance(model, lmcore.MaskedLanguageModel)
    check_logits(model, transformers.AutoModelForMaskedLM.from_pretrained(bert))
    model.train(TEXTS, max_steps=3)
    model.save_huggingface(tmp_path / "out")
    check_logits(model, transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "out"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.mask_token == "[MASK]"
    model.save(tmp_path / "model")
    assert isinstance(lmcore.load(tmp_path / "model"), lmcore.MaskedLanguageModel)


@torch.no_grad()
def check_logits(model: Any, reference: Any) -> None:
    tokens = torch.tensor([model.tokenizer.encode(TEXTS[0])])
    found = model.model(tokens.to(model.model.device)).cpu()
    torch.testing.assert_close(found, reference.eval()(tokens).logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lmcore.train([]), "there is no text to train on: texts contains 0 strings"),
        (lambda: lmcore.train(["", " "]), "there is no text to train on: texts contains 2 strings, none with"),
        (lambda: lmcore.train("a text"), "texts is a single string, expected a list of strings: put it into a list"),
        (lambda: lmcore.train(["a", 3]), r"texts\[1\] is a int, expected a string"),
        (lambda: lmcore.train(["a"]), "the texts have only 3 tokens, but training needs at least 20: add more text"),
        (lambda: lmcore.train(TEXTS, max_steps=0), "max_steps 0: must be greater than 0"),
        (lambda: lmcore.train(TEXTS, hidden_size=33), "hidden_size 33: expected a positive even number"),
        (lambda: lmcore.train(TEXTS, vocabulary_size=5), "vocabulary_size 5: must be greater than or equal to 259"),
        (lambda: lmcore.train(TEXTS, family="lstm"), "family 'lstm': expected 'gpt' or 'gpt2'"),
        (lambda: lmcore.train_classifier([]), "there are no examples"),
        (lambda: lmcore.train_classifier(["a"]), r"pairs\[0\] is 'a', expected a pair of strings: \(text, label\)"),
        (lambda: lmcore.train_classifier([("a", 1)]), r"pairs\[0\] is \('a', 1\), expected a pair of strings"),
        (lambda: lmcore.train_classifier([("a", ["b"]), ("c", "d")]), "lists for all or for none"),
        (lambda: lmcore.train_classifier([("a", []), ("c", [])]), "no example has a label"),
        (lambda: lmcore.train_classifier(PAIRS, class_weights={"dog": 2.0}), "dog is not a label"),
        (lambda: lmcore.train_classifier([("a", "b")] * 9), "all examples have the label 'b': .* two different"),
    ],
)
def test_what_cannot_be_trained_on_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(lmcore.UserError, match=message):
        call()


def test_what_a_model_cannot_do_is_named(model: lmcore.LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(lmcore.UserError, match="the text is empty"):
        model.perplexity("")
    with pytest.raises(lmcore.UserError, match="prompt is a int, expected a string"):
        model.generate(3)  # type: ignore[arg-type]
    with pytest.raises(lmcore.UserError, match="num_beams 0: must be greater than or equal to 1"):
        model.generate("a", num_beams=0)
    with pytest.raises(lmcore.UserError, match="learning_rate -1: must be greater than 0"):
        model.train(TEXTS, learning_rate=-1)
    with pytest.raises(lmcore.UserError, match=r"temperature -1: must be greater than or equal to 0"):
        model.generate("a", temperature=-1)
    with pytest.raises(lmcore.UserError, match="is not a model folder: it has no config"):
        lmcore.load(tmp_path)
    with pytest.raises(lmcore.UserError, match="is not a Hugging Face model folder: it has no config"):
        lmcore.load_huggingface(tmp_path)
    model.save(tmp_path / "model")
    with pytest.raises(lmcore.UserError, match=r"has no model_type: it is a model folder of lmcore: use lmcore.load"):
        lmcore.load_huggingface(tmp_path / "model")


@pytest.mark.parametrize("make", ["model", "classifier"])
def test_saving_replaces_a_model_and_nothing_else(
    make: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, mine = request.getfixturevalue(make), tmp_path / "mine"
    (mine / "notes").mkdir(parents=True)
    (mine / "notes" / "own.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    monkeypatch.chdir(mine)
    for folder in (mine, tmp_path, ".", "..", "", "../file", "../file/below", "../mine"):
        with pytest.raises(lmcore.UserError, match="choose a new"):
            model.save(folder)
    with pytest.raises(lmcore.UserError, match="expected a string or a path"):
        model.save(None)
    assert (mine / "notes" / "own.txt").read_text() == (tmp_path / "file").read_text() == "mine"
    for _ in range(2):
        model.save("../new/model")
    assert lmcore.load(tmp_path / "new" / "model").tokenizer.to_json() == model.tokenizer.to_json()


def test_an_export_replaces_a_model_and_nothing_else(gpt2: Path, tmp_path: Path) -> None:
    model = lmcore.load_huggingface(gpt2)
    (tmp_path / "own.txt").write_text("mine")
    with pytest.raises(lmcore.UserError, match=r"own\.txt"):
        model.save_huggingface(tmp_path)
    for _ in range(2):
        model.save_huggingface(tmp_path / "new")
    assert (tmp_path / "own.txt").exists()


@pytest.mark.parametrize("content", [b"", b'{"version": 2, "n_par', b"[]", b"\xff"])
def test_a_damaged_record_is_an_error_that_names_it(
    model: lmcore.LanguageModel, content: bytes, tmp_path: Path
) -> None:
    model.save(tmp_path / "model")
    (tmp_path / "model" / "record.json").write_bytes(content)
    with pytest.raises(lmcore.UserError, match=r"record\.json"):
        lmcore.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, "seed -1: expected a whole number"),
        ({"seed": "a"}, "seed 'a': expected a whole number"),
        ({"seed": 1.5}, "seed 1.5: expected a whole number"),
        ({"hidden_size": None}, "hidden_size None: expected a positive even number"),
    ],
)
def test_arguments_of_another_kind_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(lmcore.UserError, match=message):
        lmcore.train(TEXTS, **SMALL | changes)


def test_a_lone_surrogate_is_named_wherever_a_text_is_given(model: lmcore.LanguageModel) -> None:
    with pytest.raises(lmcore.UserError, match=r"texts\[1\] is not valid Unicode: character 4"):
        lmcore.train(["good", "bad \ud800"], **SMALL)
    for use in (model.generate, model.perplexity):
        with pytest.raises(lmcore.UserError, match="lone surrogate"):
            use("\ud800")
