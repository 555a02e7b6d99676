"""A small model of each Transformer family."""

from collections.abc import Iterable

import torch

from lmcore.config.families import CorruptionConfig, MaskingConfig
from lmcore.config.models import EncoderDecoderConfig, GPTConfig
from lmcore.config.published_models import BERTConfig, GPT2Config, LlamaConfig, T5Config
from lmcore.models.families import build_model
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

VOCABULARY = Vocabulary(size=23, end_of_text_id=0, padding_id=1, mask_id=2)
SHAPE = {"hidden_size": 16, "num_attention_heads": 2, "max_position_embeddings": 12, "dropout": 0.0}
GPT_CONFIG = GPTConfig(
    family="gpt",
    **SHAPE,
    num_hidden_layers=2,
    num_key_value_heads=1,
    intermediate_size=24,
    hidden_act="swiglu",
    tie_word_embeddings=True,
    use_residual_mixing=True,
    use_value_embeddings=True,
    use_token_shift=True,
    ngram_head_order=2,
    final_logit_softcapping=15.0,
    rope_theta=10000.0,
)
CONFIGS = {
    "gpt": GPT_CONFIG,
    "gpt2": GPT2Config(family="gpt2", **SHAPE, num_hidden_layers=2),
    "bert": BERTConfig(
        family="bert",
        **SHAPE,
        num_hidden_layers=2,
        intermediate_size=24,
        masking=MaskingConfig(mlm_probability=0.15, use_whole_words=False),
    ),
    "encoder_decoder": EncoderDecoderConfig(
        family="encoder_decoder",
        **SHAPE,
        encoder_layers=1,
        decoder_layers=1,
        intermediate_size=24,
        corruption=CorruptionConfig(noise_density=0.3, mean_noise_span_length=3.0),
    ),
    "llama": LlamaConfig(
        family="llama",
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=6,
        intermediate_size=24,
        max_position_embeddings=12,
        rms_norm_eps=1e-6,
        rope_theta=10000.0,
        rope_scaling=None,
        attention_bias=True,
        attention_output_bias=False,
        use_qk_norm=True,
        attention_dropout=0.0,
        tie_word_embeddings=False,
    ),
    "t5": T5Config(
        family="t5",
        hidden_size=16,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        head_dim=6,
        intermediate_size=24,
        feed_forward_proj="gated-gelu",
        relative_attention_num_buckets=8,
        relative_attention_max_distance=10,
        layer_norm_epsilon=1e-6,
        dropout=0.0,
        tie_word_embeddings=True,
        scale_decoder_outputs=True,
        max_position_embeddings=12,
        corruption=CorruptionConfig(noise_density=0.3, mean_noise_span_length=3.0),
    ),
}


def make_model(family: str = "gpt", **changes: object) -> TrainableModel:
    """A small model with perturbed weights, so that every path has an effect."""
    torch.manual_seed(0)
    model = build_model(CONFIGS[family].model_copy(update=changes), VOCABULARY)
    assert isinstance(model, TrainableModel)
    perturb(model.parameters())
    return model.eval()


def perturb(parameters: Iterable[torch.Tensor]) -> None:
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(torch.randn_like(parameter), alpha=0.1)


def draw_tokens(*shape: int) -> torch.Tensor:
    return torch.randint(3, VOCABULARY.size, shape, generator=torch.Generator().manual_seed(1))
