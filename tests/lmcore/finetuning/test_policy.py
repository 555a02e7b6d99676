import pytest
import torch

from lmcore.finetuning.policy import as_example, is_policy, target_log_probabilities
from lmcore.tokens.batches.batches import padded
from tests.lmcore.finetuning.conversations import small_model
from tests.lmcore.models.small_models import make_model

PROMPTS, ANSWERS = [[0, 5, 6], [0, 7]], [[8, 9, 10, 0], [11, 0]]


@pytest.mark.parametrize("family", ["gpt", "gpt2", "encoder_decoder"])
def test_the_log_probabilities_of_answers_are_the_losses_of_the_model(family: str) -> None:
    model = small_model(family)
    reads_source = family == "encoder_decoder"
    examples = [as_example(*pair, reads_source=reads_source) for pair in zip(PROMPTS, ANSWERS, strict=True)]
    batch = padded(examples, 1)
    found = target_log_probabilities(model, batch.tokens, batch.targets).sum(dim=1)
    for example, own in zip(examples, found, strict=True):
        alone = padded([example], 1)
        torch.testing.assert_close(own, -model.loss(alone.tokens, alone.targets), rtol=1e-4, atol=1e-4)


def test_only_models_that_write_are_policies() -> None:
    assert is_policy(small_model())
    assert not is_policy(make_model("bert"))
