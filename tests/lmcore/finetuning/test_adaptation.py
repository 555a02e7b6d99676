from pathlib import Path

import pytest
import torch

import lmcore
from lmcore.config.tokenize import BytePairConfig, WordsConfig
from lmcore.config.training import AdamWConfig, LoRAConfig, MuonConfig
from lmcore.errors import UserError
from lmcore.finetuning.adaptation import (
    add_adapters,
    add_word_vectors,
    freeze_layers,
    merge_word_vectors,
    save_adapted,
)
from lmcore.finetuning.classification.classifier import Classifier, load_classifier, predict, save_classifier
from lmcore.models.families import build_model
from lmcore.models.folder import save_language_model
from lmcore.models.gpt.model import GPT
from lmcore.models.lora import named_adapters
from lmcore.models.trainable import TextEncoder
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.training import train_tokenizer
from lmcore.training.optimizer import ModelOptimizer
from tests.lmcore.models.lstm.test_lstm import CONFIG as LSTM_CONFIG
from tests.lmcore.models.small_models import CONFIGS, draw_tokens, make_model
from tests.lmcore.training.test_optimizer import ADAMW, MUON
from tests.tasks.tracking.tiny_models import CONFIG


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["the list is sorted"] * 3, BytePairConfig(kind="byte_pair", vocabulary_size=260))


def test_only_adapters_are_trained_and_they_depend_on_the_seed(tokenizer: Tokenizer) -> None:
    def adapters(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = GPT(CONFIG, tokenizer.vocabulary)
        add_adapters(model, LoRAConfig(rank=2, alpha=2.0, dropout=0.0, save_adapter=False), seed=seed)
        return [parameter for parameter in model.parameters() if parameter.requires_grad]

    first, again, other = adapters(1), adapters(1), adapters(2)
    assert all(min(weight.shape) == 2 for weight in first)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(first, other, strict=True))


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("optimizer", [ADAMW, MUON])
def test_frozen_layers_have_neither_gradients_nor_optimizer_states_and_stay(
    family: str, optimizer: AdamWConfig | MuonConfig
) -> None:
    model = make_model(family)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    freeze_layers(model, 1)
    trained = ModelOptimizer(model, optimizer)
    tokens, targets = draw_tokens(2, 6), draw_tokens(2, 6)
    for _ in range(2):
        model.loss(tokens, targets).backward()  # type: ignore[no-untyped-call]
        gradients = {name for name, weight in model.named_parameters() if weight.grad is not None}
        trained.step(1.0)
    frozen = {name for name, weight in model.named_parameters() if torch.equal(weight, before[name])}
    assert {"embedding.weight"} | {name for name in before if "blocks.0." in name} <= frozen
    assert not gradients & {name for name in frozen if "blocks.0." in name or "embedding" in name}
    assert {key.rpartition("/")[0] for key in trained.state()} == gradients
    if family != "encoder_decoder":  # which has one block on each side
        assert {name for name in before if "blocks.1." in name} & gradients


def test_more_layers_than_there_are_cannot_be_frozen() -> None:
    with pytest.raises(UserError, match="frozen_layers is 3, but the model has 2 blocks"):
        freeze_layers(make_model("gpt"), 3)


@pytest.mark.parametrize("keeps", [True, False])
def test_a_saved_model_is_merged_and_has_its_adapters_beside_it_if_they_are_kept(
    keeps: bool, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = GPT(CONFIG, tokenizer.vocabulary)
    save_language_model(tmp_path / "base", model, tokenizer, {})
    config = LoRAConfig(rank=2, alpha=2.0, dropout=0.0, save_adapter=keeps)
    add_adapters(model, config, seed=1)
    with torch.no_grad():
        for _, adapter in named_adapters(model):
            adapter.up.normal_()
    folder = tmp_path / "model"
    save_adapted(folder, model, config, lambda path: save_language_model(path, model, tokenizer, {}))
    merged = lmcore.load(folder).score("sorted list")
    assert (folder / "adapter").is_dir() == keeps
    assert not (tmp_path / "adapter").exists()
    if keeps:
        beside = lmcore.load(tmp_path / "base", adapter=folder / "adapter").score("sorted list")
        assert beside.logprobs == pytest.approx(merged.logprobs, abs=1e-5)
        assert lmcore.load(tmp_path / "base").score("sorted list").logprobs != merged.logprobs


TEXTS = ["a good film", "a film", "an awful film", "tedious", "a"]
"""The last two words have a vector, but no training text has them."""


@pytest.mark.parametrize("family", ["lstm", "gpt", "bert", "encoder_decoder"])
def test_a_classifier_with_word_vectors_reads_words_that_no_training_text_has(family: str, tmp_path: Path) -> None:
    words = WordsConfig(kind="words", language=None, max_words=None, min_count=1, lowercase=True)
    tokenizer = train_tokenizer(["a good film", "a bad film"], words)
    (tmp_path / "vectors.txt").write_text("good 1 -2 3\nawful -3 2 1\ntedious -3 2 1.5\nGood 9 9 9\n")
    torch.manual_seed(0)
    model = build_model((CONFIGS | {"lstm": LSTM_CONFIG})[family], tokenizer.vocabulary)
    assert isinstance(model, TextEncoder)
    (larger,), all_words = add_word_vectors([model], tokenizer, tmp_path / "vectors.txt")
    assert all_words.vocabulary.size == tokenizer.vocabulary.size + 2
    assert all_words.decode(all_words.encode("a tedious bad film")) == "a tedious bad film"
    without = torch.tensor([tokenizer.encode("a bad film")])
    torch.testing.assert_close(
        larger.eval().features(without, without > 0), model.eval().features(without, without > 0)
    )

    classifier = Classifier(larger, ("no", "yes"), max_tokens=8)
    torch.nn.init.normal_(classifier.head.weight)
    before = predict(classifier, all_words, TEXTS)
    assert abs(before[2, 0] - before[3, 0]) > 1e-4
    merge_word_vectors(larger)
    torch.testing.assert_close(predict(classifier, all_words, TEXTS), before)
    save_classifier(tmp_path / "classifier", classifier, all_words, {})
    torch.testing.assert_close(predict(*load_classifier(tmp_path / "classifier"), TEXTS), before)
