"""The command line of generation: what can be said, and what it means."""

import argparse
from pathlib import Path

from pydantic import ValidationError

from lmcore.config.generation import GenerationConfig
from lmcore.config.models import max_position_embeddings_of
from lmcore.errors import UserError
from lmcore.models.folder import ModelDescription

DEFAULT_MAX_TOKENS = 128
DEFAULT_LENGTH_PENALTY = 0.6
SAMPLING_OPTIONS = ("temperature", "top_k", "top_p", "min_p", "seed")
CHAT_ONLY = ("system", "template")
PROMPT_ONLY = ("log_probabilities", "figures", "n_best")
OPTION_NAMES = {"stop_strings": "stop", "stop_token_ids": "stop-token"}
"""Options whose name is not that of the setting."""


def make_parser() -> argparse.ArgumentParser:
    """What can be said, with its help."""
    parser = argparse.ArgumentParser(
        prog="python -m lmcore.generation",
        description="Continue prompts with a trained model.",
        epilog="A language model samples at temperature 0.8 from its 50 likeliest tokens unless told otherwise; a "
        "completion model gives its likeliest answer.",
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="model folder")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--prompt", action="append", help="text to continue, may be repeated; - reads standard input")
    what.add_argument("--chat", action="store_true", help="chat with the model in the terminal; Ctrl-D ends it")
    _add_choices(parser)
    _add_ends(parser)
    _add_answers(parser)
    return parser


def generation_config(options: argparse.Namespace, description: ModelDescription) -> GenerationConfig:
    """What the options say for a model so described.

    Raises:
        ValueError: if they contradict each other or a value is out of range, naming the option.
    """
    _check_combination(options, is_completion_model=description.prompt_format is not None)
    try:
        return _chosen_by(options, _sampling(options, description), is_greedy=description.prompt_format is not None)
    except ValidationError as error:
        first = error.errors()[0]
        name = OPTION_NAMES.get(str(first["loc"][0]), str(first["loc"][0]).replace("_", "-"))
        raise UserError(f"--{name} {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}") from None


def check_stop_tokens(config: GenerationConfig, vocabulary_size: int) -> None:
    """Refuse stop tokens that the model does not have.

    Raises:
        ValueError: naming the option and the largest token.
    """
    for token in config.stop_token_ids:
        if token >= vocabulary_size:
            raise UserError(f"--stop-token {token}: the model's tokens are 0 to {vocabulary_size - 1}")


def _check_combination(options: argparse.Namespace, *, is_completion_model: bool) -> None:
    """Refuse what would be ignored, or cannot be shown."""
    needless = PROMPT_ONLY if options.chat else CHAT_ONLY
    if given := [f"--{name.replace('_', '-')}" for name in needless if getattr(options, name) is not None]:
        where = "--prompt" if options.chat else "--chat"
        raise UserError(f"{', '.join(given)}: works only with {where}; leave it out or use {where}")
    if options.chat and is_completion_model:
        raise UserError("--chat: this model completes one prompt at a time; use --prompt")
    for name in ("log_probabilities", "n_best"):
        least = 1 if name == "n_best" else 0
        if (number := getattr(options, name)) is not None and number < least:
            raise UserError(f"--{name.replace('_', '-')} {number}: expected {least} or more")


def _add_choices(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how tokens are chosen")
    group.add_argument("--temperature", type=float, metavar="T", help="0 always picks the most probable token")
    group.add_argument("--top-k", type=int, metavar="K", help="keep the K most probable tokens; 0 keeps all")
    group.add_argument("--top-p", type=float, metavar="P", help="keep the most probable tokens up to probability P")
    group.add_argument("--min-p", type=float, metavar="P", help="keep tokens at least P times as probable as the best")
    group.add_argument("--seed", type=int, metavar="N", help="random seed (default: 0)")
    group.add_argument(
        "--repetition-penalty", type=float, default=1.0, metavar="X", help="above 1: discourage repetition"
    )
    group.add_argument("--num-beams", type=int, metavar="N", help="beam search with N beams instead of sampling")
    group.add_argument(
        "--length-penalty", type=float, metavar="A", help=f"of beam search (default: {DEFAULT_LENGTH_PENALTY})"
    )


def _add_ends(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("when an answer ends, besides at the end token")
    group.add_argument(
        "--max-new-tokens",
        type=int,
        metavar="N",
        help=f"default: a completion model's training limit, else {DEFAULT_MAX_TOKENS} or half the context",
    )
    group.add_argument(
        "--stop",
        action="append",
        default=[],
        metavar="TEXT",
        help=r"stop before this text (\n: new line); may be repeated",
    )
    group.add_argument(
        "--stop-token", type=int, action="append", default=[], metavar="ID", help="stop at this token; may be repeated"
    )


def _add_answers(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is shown")
    group.add_argument("--n-best", type=int, metavar="N", help="return the N best answers of beam search")
    group.add_argument(
        "--log-probabilities",
        type=int,
        nargs="?",
        const=0,
        metavar="K",
        help="of each token and of the K most probable at its position",
    )
    group.add_argument(
        "--figures", type=Path, metavar="FOLDER", help="write text colored by surprisal, and attention maps, as PNG"
    )
    group.add_argument("--system", metavar="TEXT", help="in a chat: the system message")
    group.add_argument(
        "--template",
        type=Path,
        metavar="FILE",
        help="in a chat: JSON with prefix and suffix of system, user, assistant",
    )


def _max_tokens(options: argparse.Namespace, description: ModelDescription) -> int:
    if options.max_new_tokens is not None:
        return int(options.max_new_tokens)
    if description.prompt_format is not None:
        return description.prompt_format.max_completion_tokens
    context = max_position_embeddings_of(description.model)
    return DEFAULT_MAX_TOKENS if context is None else min(DEFAULT_MAX_TOKENS, max(context // 2, 1))


def _sampling(options: argparse.Namespace, description: ModelDescription) -> GenerationConfig:
    """The options as settings for sampling; a temperature of 0 is 1 here."""
    top_k = 50 if options.top_k is None and description.prompt_format is None else options.top_k
    temperature = 0.8 if options.temperature is None else options.temperature
    return GenerationConfig(
        max_new_tokens=_max_tokens(options, description),
        num_beams=1,
        do_sample=True,
        temperature=temperature or 1.0,
        top_k=top_k or None,
        top_p=options.top_p,
        min_p=options.min_p,
        seed=options.seed or 0,
        length_penalty=None,
        repetition_penalty=options.repetition_penalty,
        stop_strings=tuple(_unescape(stop) for stop in options.stop),
        stop_token_ids=tuple(options.stop_token),
    )


def _chosen_by(options: argparse.Namespace, sampling: GenerationConfig, *, is_greedy: bool) -> GenerationConfig:
    """Sampling, greedy decoding or beam search; ``is_greedy`` where no option decides."""
    num_beams = options.n_best if options.num_beams is None else options.num_beams
    if num_beams is None and options.length_penalty is not None:
        raise UserError("--length-penalty needs --num-beams")
    if num_beams is not None:
        _check_beam_search(options, num_beams)
        penalty = DEFAULT_LENGTH_PENALTY if options.length_penalty is None else options.length_penalty
        length_penalty = None if num_beams == 1 else penalty
        values = sampling.greedy().model_dump() | {"num_beams": num_beams, "length_penalty": length_penalty}
        return GenerationConfig.model_validate(values)
    if options.temperature == 0.0 or (options.temperature is None and is_greedy):
        return sampling.greedy()
    return sampling


def _check_beam_search(options: argparse.Namespace, num_beams: int) -> None:
    given = [f"--{name.replace('_', '-')}" for name in SAMPLING_OPTIONS if getattr(options, name) is not None]
    if given:
        raise UserError(f"{', '.join(given)}: beam search does not sample; remove this, or --num-beams and --n-best")
    if options.chat:
        raise UserError("--num-beams: a chat streams its answers, and beam search knows them only at the end")
    if options.n_best is not None and options.n_best > num_beams:
        raise UserError(
            f"--n-best {options.n_best}: a search with {num_beams} beams has no more answers; raise --num-beams"
        )


def _unescape(text: str) -> str:
    return text.replace("\\n", "\n").replace("\\t", "\t")
