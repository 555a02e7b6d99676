"""The families of models that can be pretrained; a new family needs a line here, see ``docs/adding-a-model.md``."""

from lmcore.config.base import Config
from lmcore.config.models import EncoderDecoderConfig, GPTConfig, HMMConfig, LSTMConfig, NgramConfig
from lmcore.config.published_models import BERTConfig, GPT2Config, LlamaConfig, T5Config
from lmcore.models.bert.model import BERT
from lmcore.models.encoder_decoder.model import EncoderDecoder
from lmcore.models.gpt.model import GPT
from lmcore.models.gpt2.model import GPT2
from lmcore.models.hmm.model import HMM
from lmcore.models.llama.model import Llama
from lmcore.models.lstm.model import LSTM
from lmcore.models.model import Model
from lmcore.models.ngram.model import NgramModel
from lmcore.models.t5.model import T5
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

FAMILIES: dict[type[Config], type[Model]] = {
    NgramConfig: NgramModel,
    HMMConfig: HMM,
    LSTMConfig: LSTM,
    GPTConfig: GPT,
    GPT2Config: GPT2,
    LlamaConfig: Llama,
    BERTConfig: BERT,
    EncoderDecoderConfig: EncoderDecoder,
    T5Config: T5,
}


def build_model(config: Config, vocabulary: Vocabulary) -> Model:
    """An untrained model of the family that ``config`` belongs to, on the CPU."""
    return FAMILIES[type(config)](config, vocabulary)
