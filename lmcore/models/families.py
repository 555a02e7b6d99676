"""The families of models that can be pretrained: a new one is a file, a configuration and a line here."""

from lmcore.config import Config
from lmcore.models.bert import BERT
from lmcore.models.causal import CausalModel
from lmcore.models.config import (
    BERTConfig,
    EncoderDecoderConfig,
    GPT2Config,
    GPTConfig,
    HMMConfig,
    LSTMConfig,
    NgramConfig,
)
from lmcore.models.encoder_decoder import EncoderDecoder
from lmcore.models.gpt import GPT
from lmcore.models.gpt2 import GPT2
from lmcore.models.hmm import HMM
from lmcore.models.lstm import LSTM
from lmcore.models.model import Model
from lmcore.models.ngram_model import NgramModel
from lmcore.tokens.vocabulary import Vocabulary

WritingModel = CausalModel | EncoderDecoder
"""What text can be generated with."""

FAMILIES: dict[type[Config], type[Model]] = {
    NgramConfig: NgramModel,
    HMMConfig: HMM,
    LSTMConfig: LSTM,
    GPTConfig: GPT,
    GPT2Config: GPT2,
    BERTConfig: BERT,
    EncoderDecoderConfig: EncoderDecoder,
}


def build_model(config: Config, vocabulary: Vocabulary) -> Model:
    """An untrained model of the family that ``config`` is of, on the processor."""
    return FAMILIES[type(config)](config, vocabulary)
