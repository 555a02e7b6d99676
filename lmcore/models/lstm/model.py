"""The LSTM language model: an embedding, layers of long short-term memory, a linear map to the vocabulary."""

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.config.models import LSTMConfig
from lmcore.models.causal import CarriedState, RecurrentModel, State, TextEncoder
from lmcore.models.cpu.derived import Derived
from lmcore.models.cpu.fused import softcapped_cross_entropy
from lmcore.models.cpu.recurrence import lstm_recurrence
from lmcore.models.layers.modern import Linear
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

GATES = ("output", "input", "forget", "cell")
"""In the order in which :func:`lstm_recurrence` wants them stacked."""
TORCH_GATES = ("input", "forget", "cell", "output")


class LSTM(RecurrentModel, TextEncoder):
    """A recurrent language model with the regularization of AWD-LSTM (Merity et al. 2017,
    https://arxiv.org/abs/1708.02182), none of which acts in evaluation mode.

    The weights are float32, and so are the cells and the gates; ``compute_dtype`` (float32 unless set) is what the
    products are computed in.

    Args:
        config: its shape.
        vocabulary: of its tokens.
    """

    config: LSTMConfig

    def __init__(self, config: LSTMConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.feature_size = config.embedding_size
        self.embedding = nn.Embedding(vocabulary.size, config.embedding_size)
        nn.init.normal_(self.embedding.weight, std=config.embedding_size**-0.5)
        sizes = [config.embedding_size, *[config.hidden_size] * (config.num_hidden_layers - 1), config.embedding_size]
        self.blocks = nn.ModuleList(
            LSTMLayer(n_inputs, embedding_size, weight_dropout=config.weight_dropout)
            for n_inputs, embedding_size in pairwise(sizes)
        )
        self.head = None if config.tie_word_embeddings else Linear(config.embedding_size, vocabulary.size)

    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        """Next-token logits, see :class:`CausalModel`."""
        return self.output_logits(self.hidden(tokens, mask=mask, state=state))

    def next_logits(self, tokens: Tensor, *, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        """The logits behind the last token alone, see :class:`CausalModel`."""
        return self.output_logits(self.hidden(tokens, mask=mask, state=state)[:, -1])

    def hidden(self, tokens: Tensor, *, mask: Tensor | None = None, state: State | None = None) -> Tensor:
        """Output (batch, length, embedding_size) of the last layer; arguments as for :meth:`forward`."""
        before = state if isinstance(state, CarriedState) else self.new_state(len(tokens))
        is_text = None if mask is None else mask[:, before.length : before.length + tokens.size(1)]
        reading = self._read(tokens, before, is_text)
        if isinstance(state, CarriedState):
            state.tensors, state.length = reading.state.tensors, reading.state.length
        return reading.hidden

    def output_logits(self, hidden: Tensor) -> Tensor:
        """Float32 logits (..., vocabulary) of hidden states (..., embedding_size)."""
        return F.linear(hidden, self._output_weight().to(hidden.dtype)).float()

    def loss_and_state(
        self, tokens: Tensor, targets: Tensor, state: CarriedState, *, label_smoothing: float = 0.0
    ) -> tuple[Tensor, CarriedState]:
        """Summed loss of next tokens (batch, length) and the state behind them, see :class:`RecurrentModel`.

        In training mode each target adds what activation regularization asks of a position on average.
        """
        reading = self._read(tokens, state)
        loss = softcapped_cross_entropy(
            reading.hidden.flatten(0, 1),
            self._output_weight(),
            targets.flatten(),
            None,
            label_smoothing=label_smoothing,
        )
        if self.training:
            loss = loss + (targets != -100).sum() * self._activation_penalty(reading)
        return loss, reading.state.detached()

    def features(self, tokens: Tensor, is_text: Tensor) -> Tensor:
        """Outputs for sequences filled up on the right, which a causal model does not notice."""
        return self.hidden(tokens)

    def flops_per_token(self) -> float:
        """Those of the layers, and of the product that gives the logits."""
        return self.feature_flops_per_token(1) + 6.0 * self._output_weight().numel()

    def feature_flops_per_token(self, length: int) -> float:
        """Those of the layers, the same however long a text is."""
        return 6.0 * sum(parameter.numel() for parameter in self.blocks.parameters() if parameter.ndim == 2)

    def new_state(self, batch_size: int) -> CarriedState:
        """Zeros: by layer the last output ``hidden.0`` and cell ``cell.0``, float32 (batch, size of the layer)."""
        tensors = {
            f"{name}.{layer}": torch.zeros(batch_size, block.embedding_size, device=self.device)
            for layer, block in enumerate(self._layers())
            for name in ("hidden", "cell")
        }
        return CarriedState(tensors)

    def _read(self, tokens: Tensor, state: CarriedState, is_text: Tensor | None = None) -> "_Reading":
        """Run the layers over tokens (batch, length), positions first from here on."""
        config = self.config
        is_gap = None if is_text is None or is_text.all() else ~is_text.T
        outputs = self._embed(tokens.T)
        tensors = {}
        for layer, block in enumerate(self._layers()):
            stream = self._drop_features(outputs, config.hidden_dropout if layer else config.input_dropout)
            before = state.tensors[f"hidden.{layer}"], state.tensors[f"cell.{layer}"]
            outputs, tensors[f"hidden.{layer}"], tensors[f"cell.{layer}"] = block(
                stream, *before, state.derived, is_gap
            )
        dropped = self._drop_features(outputs, config.output_dropout)
        return _Reading(dropped.transpose(0, 1), outputs, CarriedState(tensors, state.length + tokens.size(1)))

    def _embed(self, tokens: Tensor) -> Tensor:
        # Unit variance for the gates; as weights of the output the same numbers are small, as they should be there.
        embedded: Tensor = self.embedding(tokens) * math.sqrt(self.config.embedding_size)
        if self.training and self.config.embedding_dropout:
            words = torch.ones(self.vocabulary.size, 1, device=tokens.device)
            embedded = embedded * F.dropout(words, self.config.embedding_dropout)[tokens]
        return embedded.to(self.compute_dtype)

    def _drop_features(self, hidden: Tensor, rate: float) -> Tensor:
        """Drop of (length, batch, features) the same features at every position (Gal & Ghahramani 2016)."""
        if not (self.training and rate):
            return hidden
        return hidden * F.dropout(torch.ones_like(hidden[:1]), rate)

    def _activation_penalty(self, reading: "_Reading") -> Tensor | float:
        """For outputs that are large, after dropout, and for those that jump, before it."""
        penalty: Tensor | float = 0.0
        if self.config.activation_regularization:
            penalty = self.config.activation_regularization * reading.hidden.float().square().mean()
        if self.config.temporal_regularization and len(reading.outputs) > 1:
            jumps = reading.outputs.float().diff(dim=0)
            penalty = penalty + self.config.temporal_regularization * jumps.square().mean()
        return penalty

    def _layers(self) -> list["LSTMLayer"]:
        return [block for block in self.blocks if isinstance(block, LSTMLayer)]

    def _output_weight(self) -> Tensor:
        return self.embedding.weight if self.head is None else self.head.weight


@dataclass
class _Reading:
    hidden: Tensor
    """(batch, length, embedding_size)"""
    outputs: Tensor
    """The same before dropout, (length, batch, embedding_size)."""
    state: CarriedState


class LSTMLayer(nn.Module):
    """One layer; each of its gates has matrices of its own, so that an optimizer may orthogonalize their updates.

    Args:
        weight_dropout: of the weights from one position to the next, the same ones for the length of a batch
            (Wan et al. 2013).
    """

    def __init__(self, n_inputs: int, embedding_size: int, *, weight_dropout: float) -> None:
        super().__init__()
        self.embedding_size = embedding_size
        self.weight_dropout = weight_dropout
        # A forget gate that is open at first lets gradients through (Jozefowicz et al. 2015).
        self.gates = nn.ModuleDict(
            {gate: Gate(n_inputs, embedding_size, bias=float(gate == "forget")) for gate in GATES}
        )

    def forward(
        self, inputs: Tensor, hidden: Tensor, cell: Tensor, derived: Derived, is_gap: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Read on behind a state.

        Args:
            inputs: (length, batch, inputs), whose dtype the products are computed in.
            hidden: the output at the position before, float32 (batch, embedding_size).
            cell: likewise its cell.
            derived: keeps the stacked weights for the positions behind these.
            is_gap: boolean (length, batch), true before the beginning of a sequence, where a state of zeros stays one.

        Returns:
            the outputs (length, batch, size) in the dtype of ``inputs``, the last of them and the last cell, float32.
        """
        dtype = inputs.dtype
        if inputs.device.type == "cuda" and is_gap is None:
            return self._on_gpu(inputs, hidden, cell, derived)
        gates = F.linear(inputs, self._stack("input", dtype, derived)).float() + self._stack(
            "bias", torch.float32, derived
        )
        if is_gap is not None:
            # With the input gate shut, a cell of zero stays zero, and so does the output.
            shut = torch.zeros_like(gates[0, 0])
            shut[self.embedding_size : 2 * self.embedding_size] = -math.inf
            gates = torch.where(is_gap.unsqueeze(2), shut, gates)
        outputs, last_cell = lstm_recurrence(gates, self._recurrent(dtype, derived), hidden, cell)
        return outputs, outputs[-1].float(), last_cell

    def _on_gpu(self, inputs: Tensor, hidden: Tensor, cell: Tensor, derived: Derived) -> tuple[Tensor, Tensor, Tensor]:
        """cuDNN's layer. It wants all weights in one block of memory, its own order of gates and a second bias."""
        parts = [
            _in_torch_order(self._stack("input", torch.float32, derived)),
            _in_torch_order(self._recurrent(torch.float32, derived)),
            bias := _in_torch_order(self._stack("bias", torch.float32, derived)),
            torch.zeros_like(bias),
        ]
        block = torch.cat([part.flatten() for part in parts])
        places = [0, *accumulate(part.numel() for part in parts)]
        weights = [block[first:end].view_as(part) for (first, end), part in zip(pairwise(places), parts, strict=True)]
        before = (hidden.unsqueeze(0).contiguous(), cell.unsqueeze(0).contiguous())
        # It keeps what the way back needs only if told that it trains; without dropout that changes nothing else.
        outputs, last, last_cell = torch._VF.lstm(
            inputs.float(), before, weights, True, 1, 0.0, torch.is_grad_enabled(), False, False
        )
        return outputs.to(inputs.dtype), last[0], last_cell[0]

    def _recurrent(self, dtype: torch.dtype, derived: Derived) -> Tensor:
        weight = self._stack("recurrent", dtype, derived)
        return weight * _kept(weight, self.weight_dropout) if self.training and self.weight_dropout else weight

    def _stack(self, name: str, dtype: torch.dtype, derived: Derived) -> Tensor:
        weights = [self.gates[gate].get_parameter(name) for gate in GATES]
        return derived.get((self, name, dtype), weights, lambda: torch.cat([weight.to(dtype) for weight in weights]))


def _in_torch_order(stacked: Tensor) -> Tensor:
    by_gate = dict(zip(GATES, stacked.chunk(len(GATES)), strict=True))
    return torch.cat([by_gate[gate] for gate in TORCH_GATES])


def _kept(weight: Tensor, rate: float) -> Tensor:
    """A mask for dropout of many weights: of this shape, zero for a share of ``rate``, otherwise what makes up for it.

    One drawn integer decides on four weights, to within 1 / 65536; drawing takes longer than all else here.
    """
    n_kept = max(1, round((1.0 - rate) * 2**16))
    drawn = torch.randint(-(2**63), 2**63 - 1, ((weight.numel() + 3) // 4,), device=weight.device)
    is_kept = drawn.view(torch.int16)[: weight.numel()].view_as(weight) < n_kept - 2**15
    return is_kept.to(weight.dtype) * (2**16 / n_kept)


class Gate(nn.Module):
    """The weights of one gate."""

    def __init__(self, n_inputs: int, embedding_size: int, *, bias: float) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.empty(embedding_size, n_inputs))
        self.recurrent = nn.Parameter(torch.empty(embedding_size, embedding_size))
        self.bias = nn.Parameter(torch.full((embedding_size,), bias))
        for weight in (self.input, self.recurrent):
            bound = weight.size(1) ** -0.5
            nn.init.uniform_(weight, -bound, bound)
