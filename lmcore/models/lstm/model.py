"""The LSTM language model: an embedding, LSTM layers and a linear output layer."""

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore.config.models import LSTMConfig
from lmcore.models.cpu.recurrence import lstm_recurrence
from lmcore.models.generative import RecurrentModel
from lmcore.models.layers.functional import linear_cross_entropy
from lmcore.models.layers.linear import BiasFreeLinear
from lmcore.models.prepared_weights import PreparedWeights
from lmcore.models.state import ModelState, RecurrentState
from lmcore.models.trainable import TextEncoder
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

GATES = ("output", "input", "forget", "cell")
"""The order in which :func:`lstm_recurrence` expects the gates."""
TORCH_GATES = ("input", "forget", "cell", "output")
"""The order in which PyTorch expects them."""


class LSTM(RecurrentModel, TextEncoder):
    """A recurrent language model with the regularization of AWD-LSTM (Merity et al. 2017,
    https://arxiv.org/abs/1708.02182), which is active in training mode only.

    Cells and gates are float32; matrix products are computed in ``compute_dtype``.

    Args:
        config: the model's shape and dropout rates.
        vocabulary: the tokenizer's vocabulary.
    """

    config: LSTMConfig

    def __init__(self, config: LSTMConfig, vocabulary: Vocabulary) -> None:
        super().__init__(config, vocabulary)
        self.feature_size = config.embedding_size
        self.embedding = nn.Embedding(vocabulary.size, config.embedding_size)
        nn.init.normal_(self.embedding.weight, std=config.embedding_size**-0.5)
        sizes = [config.embedding_size, *[config.hidden_size] * (config.num_hidden_layers - 1), config.embedding_size]
        self.blocks = nn.ModuleList(
            LSTMLayer(n_inputs, output_size, weight_dropout=config.weight_dropout)
            for n_inputs, output_size in pairwise(sizes)
        )
        self.head = None if config.tie_word_embeddings else BiasFreeLinear(config.embedding_size, vocabulary.size)

    def forward(self, tokens: Tensor, *, mask: Tensor | None = None, state: ModelState | None = None) -> Tensor:
        """Next-token logits, see :class:`CausalModel`."""
        return self.output_logits(self.hidden_states(tokens, mask=mask, state=state))

    def next_logits(self, tokens: Tensor, *, mask: Tensor | None = None, state: ModelState | None = None) -> Tensor:
        """Logits of the token after the last one, see :class:`CausalModel`."""
        return self.output_logits(self.hidden_states(tokens, mask=mask, state=state)[:, -1])

    def hidden_states(self, tokens: Tensor, *, mask: Tensor | None = None, state: ModelState | None = None) -> Tensor:
        """The output of the last layer, shape (batch, length, embedding_size); arguments as for :meth:`forward`."""
        before = state if isinstance(state, RecurrentState) else self.new_state(len(tokens))
        is_text = None if mask is None else mask[:, before.length : before.length + tokens.size(1)]
        output = self._run_layers(tokens, before, is_text)
        if isinstance(state, RecurrentState):
            state.tensors, state.length = output.state.tensors, output.state.length
        return output.hidden

    def output_logits(self, hidden: Tensor) -> Tensor:
        """Float32 logits (..., vocabulary) of hidden states (..., embedding_size)."""
        return F.linear(hidden, self._output_weight().to(hidden.dtype)).float()

    def loss_and_state(
        self, tokens: Tensor, targets: Tensor, state: RecurrentState | None, *, label_smoothing: float = 0.0
    ) -> tuple[Tensor, RecurrentState]:
        """Summed loss of next tokens (batch, length) and the state after them, see :class:`RecurrentModel`.

        In training mode, the mean activation penalty is added once per target.
        """
        output = self._run_layers(tokens, self.new_state(len(tokens)) if state is None else state)
        loss = linear_cross_entropy(
            output.hidden.flatten(0, 1), self._output_weight(), targets.flatten(), label_smoothing=label_smoothing
        )
        if self.training:
            loss = loss + (targets != -100).sum() * self._activation_penalty(output)
        return loss, output.state.detached()

    def features(self, tokens: Tensor, is_text: Tensor) -> Tensor:
        """Outputs for right-padded sequences; padding on the right does not affect a causal model."""
        return self.hidden_states(tokens)

    def flops_per_token(self) -> float:
        """The operations of the layers and of the output layer."""
        return self.feature_flops_per_token(1) + 6.0 * self._output_weight().numel()

    def feature_flops_per_token(self, length: int) -> float:
        """The operations of the layers, which do not depend on the length."""
        return 6.0 * sum(parameter.numel() for parameter in self.blocks.parameters() if parameter.ndim == 2)

    def new_state(self, batch_size: int) -> RecurrentState:
        """Zeros: each layer's last output ``hidden.0`` and cell ``cell.0``, float32 of shape (batch, output_size)."""
        tensors = {
            f"{name}.{layer}": torch.zeros(batch_size, block.output_size, device=self.device)
            for layer, block in enumerate(self._layers())
            for name in ("hidden", "cell")
        }
        return RecurrentState(tensors)

    def _run_layers(self, tokens: Tensor, state: RecurrentState, is_text: Tensor | None = None) -> "_LayersOutput":
        """Run the layers over tokens (batch, length); inside, the position is the first dimension."""
        config = self.config
        is_padding = None if is_text is None or is_text.all() else ~is_text.T
        outputs = self._embed(tokens.T)
        tensors = {}
        for layer, block in enumerate(self._layers()):
            stream = self._drop_features(outputs, config.hidden_dropout if layer else config.input_dropout)
            before = state.tensors[f"hidden.{layer}"], state.tensors[f"cell.{layer}"]
            outputs, tensors[f"hidden.{layer}"], tensors[f"cell.{layer}"] = block(
                stream, *before, state.prepared, is_padding
            )
        dropped = self._drop_features(outputs, config.output_dropout)
        return _LayersOutput(dropped.transpose(0, 1), outputs, RecurrentState(tensors, state.length + tokens.size(1)))

    def _embed(self, tokens: Tensor) -> Tensor:
        # As inputs of the gates, embeddings need unit variance; as output weights, the same numbers have to be small.
        embedded: Tensor = self.embedding(tokens) * math.sqrt(self.config.embedding_size)
        if self.training and self.config.embedding_dropout:
            words = torch.ones(self.vocabulary.size, 1, device=tokens.device)
            embedded = embedded * F.dropout(words, self.config.embedding_dropout)[tokens]
        return embedded.to(self.compute_dtype)

    def _drop_features(self, hidden: Tensor, rate: float) -> Tensor:
        """Drop the same features of (length, batch, features) at every position (Gal & Ghahramani 2016)."""
        if not (self.training and rate):
            return hidden
        return hidden * F.dropout(torch.ones_like(hidden[:1]), rate)

    def _activation_penalty(self, output: "_LayersOutput") -> Tensor | float:
        """The penalty of large outputs (after dropout) and of large differences between positions (before dropout)."""
        penalty: Tensor | float = 0.0
        if self.config.activation_regularization:
            penalty = self.config.activation_regularization * output.hidden.float().square().mean()
        if self.config.temporal_regularization and len(output.outputs) > 1:
            differences = output.outputs.float().diff(dim=0)
            penalty = penalty + self.config.temporal_regularization * differences.square().mean()
        return penalty

    def _layers(self) -> list["LSTMLayer"]:
        return [cast("LSTMLayer", block) for block in self.blocks]

    def _output_weight(self) -> Tensor:
        return self.embedding.weight if self.head is None else self.head.weight


@dataclass
class _LayersOutput:
    hidden: Tensor
    """Shape (batch, length, embedding_size)."""
    outputs: Tensor
    """The same before dropout, shape (length, batch, embedding_size)."""
    state: RecurrentState


class LSTMLayer(nn.Module):
    """One LSTM layer. Each gate has its own matrices, so that an optimizer can orthogonalize their updates.

    Args:
        n_inputs: number of input features.
        output_size: number of outputs.
        weight_dropout: dropout rate of the recurrent weights, the same ones for a whole batch (Wan et al. 2013).
    """

    def __init__(self, n_inputs: int, output_size: int, *, weight_dropout: float) -> None:
        super().__init__()
        self.output_size = output_size
        self.weight_dropout = weight_dropout
        # Initially open forget gates let gradients through (Jozefowicz et al. 2015).
        self.gates = nn.ModuleDict({gate: Gate(n_inputs, output_size, bias=float(gate == "forget")) for gate in GATES})

    def forward(
        self, inputs: Tensor, hidden: Tensor, cell: Tensor, prepared: PreparedWeights, is_padding: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run the layer from a state.

        Args:
            inputs: shape (length, batch, n_inputs); its dtype is that of the matrix products.
            hidden: the output at the previous position, float32 of shape (batch, output_size).
            cell: the cell at the previous position, same dtype and shape.
            prepared: keeps the stacked weights for later positions.
            is_padding: bool of shape (length, batch), true at left padding, where a state of zeros stays zero.

        Returns:
            the outputs (length, batch, output_size) in the dtype of ``inputs``, and the last output and cell, float32.
        """
        dtype = inputs.dtype
        if inputs.device.type == "cuda" and is_padding is None:
            return self._run_cudnn(inputs, hidden, cell, prepared)
        gates = F.linear(inputs, self._stacked("input", dtype, prepared)).float() + self._stacked(
            "bias", torch.float32, prepared
        )
        if is_padding is not None:
            # With a closed input gate, a cell of zero stays zero, and so does the output.
            closed = torch.zeros_like(gates[0, 0])
            closed[self.output_size : 2 * self.output_size] = -math.inf
            gates = torch.where(is_padding.unsqueeze(2), closed, gates)
        outputs, last_cell = lstm_recurrence(gates, self._recurrent_weights(dtype, prepared), hidden, cell)
        return outputs, outputs[-1].float(), last_cell

    def _run_cudnn(
        self, inputs: Tensor, hidden: Tensor, cell: Tensor, prepared: PreparedWeights
    ) -> tuple[Tensor, Tensor, Tensor]:
        """cuDNN's layer, which expects all weights in one block of memory, its own order of gates and a second bias."""
        parts = [
            _in_torch_order(self._stacked("input", torch.float32, prepared)),
            _in_torch_order(self._recurrent_weights(torch.float32, prepared)),
            bias := _in_torch_order(self._stacked("bias", torch.float32, prepared)),
            torch.zeros_like(bias),
        ]
        block = torch.cat([part.flatten() for part in parts])
        bounds = [0, *accumulate(part.numel() for part in parts)]
        weights = [block[first:end].view_as(part) for (first, end), part in zip(pairwise(bounds), parts, strict=True)]
        before = (hidden.unsqueeze(0).contiguous(), cell.unsqueeze(0).contiguous())
        # It keeps what the backward pass needs only in training mode; without dropout that changes nothing else.
        outputs, last, last_cell = torch._VF.lstm(
            inputs.float(), before, weights, True, 1, 0.0, torch.is_grad_enabled(), False, False
        )
        return outputs.to(inputs.dtype), last[0], last_cell[0]

    def _recurrent_weights(self, dtype: torch.dtype, prepared: PreparedWeights) -> Tensor:
        weight = self._stacked("recurrent", dtype, prepared)
        return weight * _dropout_mask(weight, self.weight_dropout) if self.training and self.weight_dropout else weight

    def _stacked(self, name: str, dtype: torch.dtype, prepared: PreparedWeights) -> Tensor:
        weights = [self.gates[gate].get_parameter(name) for gate in GATES]
        return prepared.get((self, name, dtype), weights, lambda: torch.cat([weight.to(dtype) for weight in weights]))


def _in_torch_order(stacked: Tensor) -> Tensor:
    by_gate = dict(zip(GATES, stacked.chunk(len(GATES)), strict=True))
    return torch.cat([by_gate[gate] for gate in TORCH_GATES])


def _dropout_mask(weight: Tensor, rate: float) -> Tensor:
    """A dropout mask of the weight's shape: zero with probability ``rate`` (to within 1 / 65536), else the scale.

    One random int64 decides about four weights, since random numbers take most of the time here.
    """
    n_kept = max(1, round((1.0 - rate) * 2**16))
    random = torch.randint(-(2**63), 2**63 - 1, ((weight.numel() + 3) // 4,), device=weight.device)
    is_kept = random.view(torch.int16)[: weight.numel()].view_as(weight) < n_kept - 2**15
    return is_kept.to(weight.dtype) * (2**16 / n_kept)


class Gate(nn.Module):
    """The weights of one gate."""

    def __init__(self, n_inputs: int, output_size: int, *, bias: float) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.empty(output_size, n_inputs))
        self.recurrent = nn.Parameter(torch.empty(output_size, output_size))
        self.bias = nn.Parameter(torch.full((output_size,), bias))
        for weight in (self.input, self.recurrent):
            bound = weight.size(1) ** -0.5
            nn.init.uniform_(weight, -bound, bound)
