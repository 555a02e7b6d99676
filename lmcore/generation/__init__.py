"""Text generation."""

from typing import TYPE_CHECKING, Any

from lmcore.config.generation import GenerationConfig

if TYPE_CHECKING:
    from lmcore.generation.decoding import generate
    from lmcore.generation.generator import Generator

__all__ = ["GenerationConfig", "Generator", "generate"]


def __getattr__(name: str) -> Any:
    # The configuration is read by every stage and is checked without PyTorch, which takes seconds to import.
    if name == "generate":
        from lmcore.generation.decoding import generate

        return generate
    if name == "Generator":
        from lmcore.generation.generator import Generator

        return Generator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
