"""The hidden Markov model sums over all paths through its states, at once or with a carried state."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from lmcore.config.models import HMMConfig
from lmcore.generation import generate
from lmcore.models.hmm.model import HMM
from lmcore.tokens.tokenizer.vocabulary import Vocabulary
from tests.lmcore.generation.toy_models import settings

VOCABULARY = Vocabulary(size=7, end_of_text_id=0, padding_id=1, mask_id=2)
CONFIG = HMMConfig(family="hmm", num_states=3, emission_rank=None)
VARIANTS = {"table": {}, "factorized": {"emission_rank": 2}}


def make_model(seed: int = 0, **changes: object) -> HMM:
    torch.manual_seed(seed)
    model = HMM(CONFIG.model_copy(update=changes), VOCABULARY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    return model.eval()


def draw_tokens(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(VOCABULARY.size, shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def probability_by_paths(model: HMM, tokens: list[int]) -> float:
    """The sum over every path through the states of the probability of that path and of the tokens on it."""
    start, transition = model.start.double().softmax(0), model.transition.double().softmax(1)
    scores = model.emission if model.state_vectors is None else model.emission @ model.state_vectors.T
    emission = scores.double().softmax(0)
    total = 0.0
    for path in itertools.product(range(model.config.num_states), repeat=len(tokens)):
        probability = start[path[0]] * emission[tokens[0], path[0]]
        for before, state, token in zip(path, path[1:], tokens[1:], strict=False):
            probability = probability * transition[before, state] * emission[token, state]
        total += float(probability)
    return total


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_loss_is_that_of_the_sum_over_all_paths(variant: str) -> None:
    model, tokens = make_model(**VARIANTS[variant]), draw_tokens(3, 6)
    loss = model.loss(tokens[:, :-1], tokens[:, 1:])
    whole = torch.tensor([probability_by_paths(model, row) for row in tokens.tolist()])
    first = torch.tensor([probability_by_paths(model, row[:1]) for row in tokens.tolist()])
    torch.testing.assert_close(loss, -(whole / first).log().sum(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_distribution_of_the_next_token_is_that_of_the_sum_over_all_paths(variant: str) -> None:
    model, tokens = make_model(**VARIANTS[variant]), draw_tokens(1, 4)
    context = tokens[0].tolist()
    expected = [probability_by_paths(model, [*context, token]) for token in range(VOCABULARY.size)]
    expected = torch.tensor(expected) / probability_by_paths(model, context)
    torch.testing.assert_close(model.next_logits(tokens)[0].exp(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_distribution_sums_to_one(variant: str) -> None:
    log_probabilities = make_model(**VARIANTS[variant])(draw_tokens(4, 9))
    assert log_probabilities.shape == (4, 9, VOCABULARY.size)
    torch.testing.assert_close(log_probabilities.exp().sum(dim=2), torch.ones(4, 9))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_loss_is_the_cross_entropy_of_the_log_probabilities(variant: str, label_smoothing: float) -> None:
    model, tokens = make_model(**VARIANTS[variant]), draw_tokens(2, 8)
    targets = draw_tokens(2, 8, seed=2)
    targets[0, :3] = -100
    expected = F.cross_entropy(model(tokens).transpose(1, 2), targets, reduction="sum", label_smoothing=label_smoothing)
    torch.testing.assert_close(model.loss(tokens, targets, label_smoothing=label_smoothing), expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_has_a_gradient(variant: str) -> None:
    model, tokens = make_model(**VARIANTS[variant]), draw_tokens(2, 8)
    model.loss(tokens, tokens.roll(-1, 1)).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize("variant", VARIANTS)
def test_log_probabilities_with_a_carried_state_equal_those_of_the_whole_sequence(variant: str) -> None:
    model, tokens = make_model(**VARIANTS[variant]), draw_tokens(3, 12)
    state = model.new_state(3)
    parts = [model(part, state=state) for part in tokens.split([5, 1, 4, 1, 1], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens))
    assert state.length == 12


def test_the_losses_of_consecutive_parts_add_up_to_that_of_the_whole() -> None:
    model, tokens = make_model(), draw_tokens(3, 13)
    first, state = model.loss_and_state(tokens[:, :5], tokens[:, 1:6], model.new_state(3))
    second, state = model.loss_and_state(tokens[:, 5:12], tokens[:, 6:], state)
    torch.testing.assert_close(first + second, model.loss(tokens[:, :-1], tokens[:, 1:]))
    assert state.length == 12
    assert not state.tensors["expected"].requires_grad


def test_left_padded_prompts_are_continued_as_if_each_were_alone() -> None:
    model, tokens = make_model(), draw_tokens(3, 7)
    lengths = torch.tensor([7, 4, 1])
    mask = torch.arange(7) >= (7 - lengths).unsqueeze(1)
    state = model.new_state(3)
    parts = [model(tokens[:, :5], mask=mask[:, :5], state=state), model(tokens[:, 5:], mask=mask, state=state)]
    for row, length in enumerate(lengths):
        alone = model(tokens[row : row + 1, 7 - length :])
        torch.testing.assert_close(torch.cat(parts, dim=1)[row, 7 - length :], alone[0])
    config = settings(max_new_tokens=6)
    prompts = [[3, 4, 5, 6], [6], [4, 5]]
    assert generate(model, prompts, config) == [generate(model, [prompt], config)[0] for prompt in prompts]


def test_tokens_that_no_state_is_likely_to_emit_leave_finite_losses_and_gradients() -> None:
    model = make_model()
    with torch.no_grad():
        model.emission[3] = torch.tensor([-200.0, -300.0, -400.0])
        model.transition[:, 0] = -200.0
    tokens = torch.tensor([[3, 3, 4, 3, 5, 3]])
    loss = model.loss(tokens[:, :-1], tokens[:, 1:])
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    assert model(tokens).isfinite().all()


def test_the_operations_of_training_are_those_that_torch_counts() -> None:
    model, tokens = make_model(), draw_tokens(3, 10)
    with FlopCounterMode(display=False) as counter:
        model.loss(tokens, tokens.roll(-1, 1)).backward()
    assert counter.get_total_flops() / tokens.numel() == model.flops_per_token()
