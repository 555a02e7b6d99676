"""The prediction for a text depends on its tokens alone, however its batch was padded, selected and forked."""

import pytest
import torch

from lmcore.generation.decoding_state import DecodingState
from lmcore.models.generative import CausalModel
from tests.lmcore.generation.toy_models import make_recurrent
from tests.lmcore.models.gpt.test_gpt import VOCABULARY, make_model

MODELS = {"gpt": make_model, "recurrent": lambda: make_recurrent(VOCABULARY)}
PROMPTS = [[5, 6, 7], [8], [9, 4]]


class Texts:
    """A decoding state, and the texts that it is the state of."""

    def __init__(self, model: CausalModel) -> None:
        self.model, self.texts = model, [prompt[:] for prompt in PROMPTS]
        self.state = DecodingState.from_prompts(model, PROMPTS, max_new_tokens=6)

    def advance(self) -> None:
        tokens = [3 + (5 * len(text) + row) % 17 for row, text in enumerate(self.texts)]
        self.texts = [[*text, token] for text, token in zip(self.texts, tokens, strict=True)]
        self.state.advance(torch.tensor(tokens))

    def select(self, rows: list[int]) -> None:
        self.texts = [self.texts[row] for row in rows]
        self.state.select(torch.tensor(rows))

    def fork(self, n_continuations: int) -> None:
        self.texts = [text for text in self.texts for _ in range(n_continuations)]
        self.state.fork(n_continuations)

    def check(self) -> None:
        expected = torch.stack([self.model(torch.tensor([text]))[0, -1] for text in self.texts])
        torch.testing.assert_close(self.state.logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", MODELS)
@torch.inference_mode()
def test_texts_that_are_selected_and_extended_are_read_as_if_alone(kind: str) -> None:
    texts = Texts(MODELS[kind]())
    texts.check()
    for rows in ([0, 1, 2], [2, 0, 2, 1], [3, 3], [1]):
        texts.advance()
        texts.check()
        texts.select(rows)
        texts.check()


@pytest.mark.parametrize("kind", MODELS)
@torch.inference_mode()
def test_continuations_of_a_text_are_read_as_if_alone(kind: str) -> None:
    texts = Texts(MODELS[kind]())
    texts.fork(3)
    texts.check()
    for rows in ([1, 0, 0, 3, 5, 4, 8, 8, 8], [6, 7, 7, 2, 2, 1]):
        texts.advance()
        texts.check()
        texts.select(rows)
        texts.check()
