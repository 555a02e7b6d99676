"""The models that are compared: GPT and GPT-2 of this project, and the GPT-2 of Hugging Face."""

import json
from typing import Any

import torch
from torch import Tensor

from lmcore.config.models import GPTConfig
from lmcore.config.published_models import GPT2Config
from lmcore.config.training import AdamWConfig, MuonConfig
from lmcore.models.gpt.model import GPT
from lmcore.models.gpt2.model import GPT2
from lmcore.tokens.tokenizer.vocabulary import Vocabulary
from lmcore.training.optimizer import ModelOptimizer

OPTIMIZER = MuonConfig.model_validate_json(
    json.dumps(
        {
            "name": "muon",
            "learning_rate": 0.02,
            "momentum": 0.95,
            "weight_decay": 0.01,
            "adamw": {"learning_rate": 0.01, "beta1": 0.9, "beta2": 0.95, "weight_decay": 0.0},
        }
    )
)


def our_gpt(
    *,
    num_hidden_layers: int,
    hidden_size: int,
    num_attention_heads: int,
    vocabulary_size: int,
    max_position_embeddings: int,
    **changes: Any,
) -> GPT:
    """A GPT with the default settings in another size."""
    settings = {
        "family": "gpt",
        "hidden_size": hidden_size,
        "num_hidden_layers": num_hidden_layers,
        "num_attention_heads": num_attention_heads,
        "num_key_value_heads": num_attention_heads,
        "intermediate_size": 4 * hidden_size,
        "hidden_act": "relu2",
        "max_position_embeddings": max_position_embeddings,
        "dropout": 0.0,
        "tie_word_embeddings": True,
        "use_residual_mixing": True,
        "use_value_embeddings": True,
        "use_token_shift": True,
        "ngram_head_order": 0,
        "final_logit_softcapping": 15.0,
        "rope_theta": 10000.0,
    }
    torch.manual_seed(0)
    vocabulary = Vocabulary(size=vocabulary_size, end_of_text_id=0, padding_id=1, mask_id=2)
    return GPT(GPTConfig.model_validate(settings | changes), vocabulary)


def our_gpt2(
    *,
    num_hidden_layers: int,
    hidden_size: int,
    num_attention_heads: int,
    vocabulary_size: int,
    max_position_embeddings: int,
) -> GPT2:
    """This project's GPT-2."""
    torch.manual_seed(0)
    vocabulary = Vocabulary(size=vocabulary_size, end_of_text_id=0, padding_id=1, mask_id=2)
    config = GPT2Config(
        family="gpt2",
        hidden_size=hidden_size,
        num_hidden_layers=num_hidden_layers,
        num_attention_heads=num_attention_heads,
        max_position_embeddings=max_position_embeddings,
        dropout=0.0,
    )
    return GPT2(config, vocabulary)


def their_gpt2(
    *,
    num_hidden_layers: int,
    hidden_size: int,
    num_attention_heads: int,
    vocabulary_size: int,
    max_position_embeddings: int,
) -> Any:
    """Hugging Face's GPT-2 in the same size, without dropout like ours."""
    import transformers

    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=vocabulary_size,
        n_positions=max_position_embeddings,
        n_embd=hidden_size,
        n_layer=num_hidden_layers,
        n_head=num_attention_heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    return transformers.GPT2LMHeadModel(config)


class OurTraining:
    """Optimizer steps as in this project's training loop, without checks and reports."""

    def __init__(self, model: GPT | GPT2, dtype: torch.dtype, optimizer: AdamWConfig | MuonConfig = OPTIMIZER) -> None:
        self.model = model
        self.model.compute_in(dtype)
        self._optimizer = ModelOptimizer(model, optimizer)

    def step(self, tokens: Tensor, targets: Tensor, *, document_ids: Tensor | None = None, factor: float = 1.0) -> None:
        """One step, with the learning rate multiplied by ``factor``."""
        loss = self.model.loss(tokens, targets, document_ids=document_ids)
        (loss / targets.numel()).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step(factor)


class TheirTraining:
    """Steps as in the documentation of Hugging Face: the loss of the model, AdamW, and optionally autocast."""

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        self.model, self._dtype = model, dtype
        self._optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step(self, tokens: Tensor) -> None:
        """One step; the model shifts the labels itself."""
        with torch.autocast("cpu", dtype=self._dtype, enabled=self._dtype != torch.float32):
            loss = self.model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
