"""Models of two kinds and settings that the tests of generation share."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lmcore.generation import GenerationConfig
from lmcore.generation.beam_search import beam_search
from lmcore.generation.completion import Completion
from lmcore.generation.decoding import stopping_criteria
from lmcore.generation.decoding_state import DecodingState
from lmcore.generation.sampling import used_tokens
from lmcore.models.generative import CausalModel
from lmcore.models.state import ModelState, RecurrentState
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

GREEDY = {
    "max_new_tokens": 6,
    "num_beams": 1,
    "do_sample": False,
    "temperature": None,
    "top_k": None,
    "top_p": None,
    "min_p": None,
    "seed": None,
    "length_penalty": None,
    "repetition_penalty": 1.0,
    "stop_strings": (),
    "stop_token_ids": (),
}


def settings(**changes: object) -> GenerationConfig:
    """Greedy decoding of six tokens; a temperature makes it sampling, several beams beam search."""
    way: dict[str, object] = {}
    if "temperature" in changes:
        way = {"do_sample": True, "seed": 1}
    elif changes.get("num_beams", 1) != 1:
        way = {"length_penalty": 0.0}
    return GenerationConfig.model_validate(GREEDY | way | changes)


def search_with_one_beam(
    continuation: DecodingState,
    prompts: Sequence[Sequence[int]],
    config: GenerationConfig,
    vocabulary: Vocabulary,
    length_penalty: float,
) -> list[list[Completion]]:
    """Beam search with one beam, for which ``decode`` takes the shorter way of greedy decoding."""
    is_used = None
    if config.repetition_penalty != 1.0:
        is_used = used_tokens(prompts, vocabulary.size, continuation.logits.device)
        is_used[:, vocabulary.end_of_text_id] = False
    config = config.model_copy(update={"length_penalty": length_penalty})
    return beam_search(
        continuation, config, stopping_criteria(config, vocabulary, None), is_used=is_used, n_top_logprobs=0
    )


class Recurrent(CausalModel):
    """An Elman network (1990) that knows no padding but by its mask."""

    max_position_embeddings = None

    def __init__(self, vocabulary: Vocabulary, hidden_size: int = 8) -> None:
        super().__init__(None, vocabulary)
        self.embedding = nn.Embedding(vocabulary.size, hidden_size)
        self.carry = nn.Linear(hidden_size, hidden_size)
        self.output = nn.Linear(hidden_size, vocabulary.size)

    def new_state(self, batch_size: int) -> RecurrentState:
        return RecurrentState({"hidden": torch.zeros(batch_size, self.carry.in_features)})

    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, state: ModelState | None = None) -> Tensor:
        carried = state if isinstance(state, RecurrentState) else self.new_state(len(tokens))
        hidden, outputs = carried.tensors["hidden"], []
        for position in range(tokens.size(1)):
            new = torch.tanh(self.embedding(tokens[:, position]) + self.carry(hidden))
            is_text = None if mask is None else mask[:, carried.length, None]
            hidden = new if is_text is None else torch.where(is_text, new, hidden)
            carried.length += 1
            outputs.append(self.output(hidden))
        carried.tensors["hidden"] = hidden
        return torch.stack(outputs, dim=1)


def make_recurrent(vocabulary: Vocabulary, seed: int = 0) -> Recurrent:
    """A network that is sure enough of its choices to be told from others."""
    torch.manual_seed(seed)
    model = Recurrent(vocabulary)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)
    return model.eval()
