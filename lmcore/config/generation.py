"""How text is generated, named as in the ``GenerationConfig`` of ``transformers``."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, ValidationInfo, field_validator

from lmcore.config.base import Config, PositiveRatio


class GenerationConfig(Config):
    """How tokens are chosen, and when an answer ends.

    There are three ways to choose tokens: greedy decoding (``do_sample`` false, ``num_beams`` 1), sampling
    (``do_sample`` true) and beam search (``num_beams`` above 1). A setting that the chosen way does not use is None.
    The end token always ends an answer.
    """

    max_new_tokens: PositiveInt
    num_beams: Annotated[int, Field(ge=1, le=10_000)]
    """Candidates that a beam search keeps at every step; 1 turns beam search off."""
    do_sample: bool
    """Draw tokens from the model's distribution; false takes the most probable ones."""
    temperature: NonNegativeFloat | None
    """Sampling: divides the logits. The three cut-offs below are applied in this order, each to what the previous one
    left; None cuts nothing off."""
    top_k: PositiveInt | None
    """Sampling: keeps the most probable tokens, this many (Fan et al. 2018)."""
    top_p: PositiveRatio | None
    """Sampling: keeps the most probable tokens that together reach this probability (Holtzman et al. 2020)."""
    min_p: PositiveRatio | None
    """Sampling: keeps tokens at least this many times as probable as the most probable one (Nguyen et al. 2024)."""
    seed: NonNegativeInt | None
    """Sampling: the same seed and prompt give the same answer."""
    length_penalty: Annotated[float, Field(ge=-10.0, le=10.0)] | None
    """Beam search: the exponent alpha of Wu et al. 2016. 0 ranks answers by their probability, which favors short ones;
    larger values favor longer ones."""
    repetition_penalty: Annotated[float, Field(gt=0.0)]
    """Lowers the logits of tokens that are in the prompt or the answer (Keskar et al. 2019); 1 changes nothing."""
    stop_strings: tuple[Annotated[str, Field(min_length=1)], ...]
    """An answer ends before the first of these strings."""
    stop_token_ids: tuple[NonNegativeInt, ...]
    """Tokens that end an answer, like the end token."""

    def greedy(self) -> "GenerationConfig":
        """The same settings with greedy decoding: the most probable token at every step."""
        unused = dict.fromkeys(("temperature", "top_k", "top_p", "min_p", "seed", "length_penalty"))
        return self.model_copy(update={"num_beams": 1, "do_sample": False, **unused})

    @field_validator("do_sample")
    @classmethod
    def _does_not_sample_beams(cls, do_sample: bool, info: ValidationInfo) -> bool:
        num_beams = info.data.get("num_beams")
        if do_sample and num_beams is not None and num_beams > 1:
            raise ValueError(
                f"beam search does not sample; set do_sample to false, or num_beams to 1 instead of {num_beams}"
            )
        return do_sample

    @field_validator("temperature", "top_k", "top_p", "min_p", "seed")
    @classmethod
    def _is_used_by_sampling_alone(cls, value: float | None, info: ValidationInfo) -> float | None:
        do_sample = info.data.get("do_sample")
        if do_sample is False and value is not None:
            raise ValueError(f"only sampling uses {info.field_name}; set it to null, or do_sample to true")
        if do_sample and info.field_name == "temperature" and value == 0:
            raise ValueError(
                "sampling needs a temperature above 0; for greedy decoding set do_sample to false and temperature, "
                "top_k, top_p, min_p and seed to null"
            )
        if do_sample and value is None and info.field_name in ("temperature", "seed"):
            usual = "1.0 leaves the model's distribution as it is" if info.field_name == "temperature" else "such as 1"
            raise ValueError(f"sampling needs a {info.field_name}: set a number ({usual}), or do_sample to false")
        return value

    @field_validator("length_penalty")
    @classmethod
    def _is_used_by_beam_search_alone(cls, value: float | None, info: ValidationInfo) -> float | None:
        num_beams = info.data.get("num_beams")
        if num_beams == 1 and value is not None:
            raise ValueError("only beam search uses length_penalty; set it to null, or num_beams above 1")
        if num_beams is not None and num_beams > 1 and value is None:
            raise ValueError("beam search needs a length_penalty: set a number such as 1.0, or num_beams to 1")
        return value


def greedy_decoding(max_new_tokens: int, stop_strings: tuple[str, ...] = ()) -> GenerationConfig:
    """The most probable token at every step, with nothing else that changes an answer."""
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        num_beams=1,
        do_sample=False,
        temperature=None,
        top_k=None,
        top_p=None,
        min_p=None,
        seed=None,
        length_penalty=None,
        repetition_penalty=1.0,
        stop_strings=stop_strings,
        stop_token_ids=(),
    )
