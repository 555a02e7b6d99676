"""From a model and a prompt to text."""

from lmcore.generation.config import GenerationConfig
from lmcore.generation.decoding import generate

__all__ = ["GenerationConfig", "generate"]
