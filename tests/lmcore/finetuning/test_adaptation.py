import pytest
import torch

from lmcore.config.tokenize import BytePairConfig
from lmcore.config.training import LoRAConfig
from lmcore.finetuning.adaptation import add_adapters
from lmcore.models.gpt.model import GPT
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.training import train_tokenizer
from tests.tasks.tracking.tiny_models import CONFIG


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["the list is sorted"] * 3, BytePairConfig(kind="byte_pair", vocabulary_size=260))


def test_only_adapters_are_trained_and_they_depend_on_the_seed(tokenizer: Tokenizer) -> None:
    def adapters(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = GPT(CONFIG, tokenizer.vocabulary)
        add_adapters(model, LoRAConfig(rank=2, alpha=2.0, dropout=0.0), seed=seed)
        return [parameter for parameter in model.parameters() if parameter.requires_grad]

    first, again, other = adapters(1), adapters(1), adapters(2)
    assert all(min(weight.shape) == 2 for weight in first)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(first, other, strict=True))
