"""Models of two kinds and settings that the tests of generation share."""

import torch
from torch import Tensor, nn

from lmcore.generation import GenerationConfig
from lmcore.models.generative import CausalModel
from lmcore.models.state import ModelState, RecurrentState
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

GREEDY = {"method": "sampling", "temperature": 0.0, "top_k": None, "top_p": None, "min_p": None, "seed": 1}
BEAMS = {"method": "beam_search", "num_beams": 4, "length_penalty": 0.0}


def settings(**changes: object) -> GenerationConfig:
    """Greedy decoding of six tokens; what names a key of ``decoding`` changes that."""
    decoding = BEAMS if {"num_beams", "length_penalty"} & changes.keys() else GREEDY
    of_decoding = {name: changes.pop(name) for name in list(changes) if name in decoding}
    common = {
        "max_new_tokens": 6,
        "stop_strings": (),
        "stop_token_ids": (),
        "repetition_penalty": 1.0,
        "decoding": decoding,
    }
    return GenerationConfig.model_validate(common | changes | {"decoding": decoding | of_decoding})


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
