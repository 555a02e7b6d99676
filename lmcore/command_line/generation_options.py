"""The options of ``lmcore generate``, named as in the ``GenerationConfig`` of ``transformers``."""

import argparse
from pathlib import Path

from pydantic import ValidationError

from lmcore.api.defaults import MAX_NEW_TOKENS, default_max_new_tokens
from lmcore.config.generation import GenerationConfig
from lmcore.config.models import max_position_embeddings_of
from lmcore.errors import UserError
from lmcore.models.folder import ModelDescription

EPILOG = """\
examples:
  lmcore generate models/language-model --prompt "Return the"
  lmcore generate models/language-model --prompt - --temperature 0.7 --top-p 0.95 < prompt.txt
  lmcore generate models/language-model --prompt "Compute the" --logprobs 3 --plots plots
  lmcore generate models/finetuned/completion --prompt "Sort the list ..." --num-beams 4
  lmcore generate models/finetuned/chat --chat --system "Answer in one sentence."
"""
DESCRIPTION = """\
Continue prompts with the model in a model folder, or chat with it.

By default a language model samples from its 50 most probable tokens at temperature
0.8; a completion or chat model decodes greedily.
"""
CHAT_DESCRIPTION = """\
Chat with the model in a model folder; Ctrl-D ends the chat. The model reads the whole
conversation; where that is longer than its context, the oldest messages are left out.

By default a chat model decodes greedily; a language model, which continues a dialogue
as plain text, samples from its 50 most probable tokens at temperature 0.8.
"""
CHAT_EPILOG = """\
examples:
  lmcore chat models/finetuned/chat
  lmcore chat models/finetuned/chat --system "Answer in one sentence." --temperature 0.7
"""
DEFAULT_LENGTH_PENALTY = 0.6
SAMPLING_OPTIONS = ("temperature", "top_k", "top_p", "min_p", "seed")
CHAT_ONLY = ("system", "chat_template")
PROMPT_ONLY = ("logprobs", "plots", "num_return_sequences")


def make_parser(*, is_chat: bool = False) -> argparse.ArgumentParser:
    """The parser of ``lmcore generate`` or, with only the options of a chat, of ``lmcore chat``."""
    parser = argparse.ArgumentParser(
        prog="lmcore chat" if is_chat else "lmcore generate",
        description=CHAT_DESCRIPTION if is_chat else DESCRIPTION,
        epilog=CHAT_EPILOG if is_chat else EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="model folder")
    parser.add_argument("--adapter", metavar="FOLDER", type=Path, help="low-rank adapters trained on this model")
    parser.add_argument("--load-in-8bit", action="store_true", help="8-bit weights: faster, a little less exact")
    parser.add_argument(
        "--assistant-model",
        metavar="MODEL",
        type=Path,
        help="folder of an n-gram model with the same tokenizer, whose drafts make one prompt faster",
    )
    if is_chat:
        parser.set_defaults(chat=True, prompt=None, field=None, **dict.fromkeys(PROMPT_ONLY))
    else:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--prompt", action="append", help="text to continue; may be repeated; - reads standard input")
        what.add_argument(
            "--field",
            action="append",
            metavar="NAME=TEXT",
            help="a variable of a completion model's prompt, if it has several; NAME=- reads standard input",
        )
        what.add_argument("--chat", action="store_true", help="chat with the model in the terminal; Ctrl-D ends it")
    _add_choices(parser)
    _add_ends(parser)
    group = parser.add_argument_group("output")
    if not is_chat:
        _add_answers(group)
    _add_chat(group)
    return parser


def generation_config(options: argparse.Namespace, description: ModelDescription) -> GenerationConfig:
    """The options as a configuration, with the defaults for the described model.

    Raises:
        UserError: naming the option, if options contradict each other or a value is out of range.
    """
    _check_combination(options, is_completion_model=description.kind == "completion")
    try:
        return _chosen_by(options, _sampling(options, description), is_greedy=answers_prompts(description))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        message = first["msg"].replace("Input should", "must").replace("String should", "must")
        raise UserError(f"--{name} {first['input']!r}: {message}") from None


def answers_prompts(description: ModelDescription) -> bool:
    """Whether a model was trained to answer, so that its most probable answer is the best one."""
    return description.kind in ("completion", "chat")


def check_stop_tokens(config: GenerationConfig, vocabulary_size: int) -> None:
    """Refuse stop tokens that are not in the vocabulary.

    Raises:
        UserError: naming the option and the largest token.
    """
    for token in config.stop_token_ids:
        if token >= vocabulary_size:
            raise UserError(f"--stop-token-ids {token}: the model's tokens are 0 to {vocabulary_size - 1}")


def _check_combination(options: argparse.Namespace, *, is_completion_model: bool) -> None:
    """Refuse options that would be ignored, or whose result cannot be shown."""
    needless = PROMPT_ONLY if options.chat else CHAT_ONLY
    if given := [f"--{name.replace('_', '-')}" for name in needless if getattr(options, name) is not None]:
        where = "--prompt" if options.chat else "--chat"
        raise UserError(f"{', '.join(given)}: works only with {where}; remove it or use {where}")
    if options.chat and is_completion_model:
        raise UserError("--chat: this model completes one prompt at a time; use --prompt")
    for name in ("logprobs", "num_return_sequences"):
        least = 1 if name == "num_return_sequences" else 0
        if (number := getattr(options, name)) is not None and number < least:
            raise UserError(f"--{name.replace('_', '-')} {number}: expected {least} or more")


def _add_choices(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("decoding")
    group.add_argument("--temperature", type=float, metavar="T", help="sampling temperature; 0: greedy decoding")
    group.add_argument("--top-k", type=int, metavar="K", help="sample from the K most probable tokens; 0: from all")
    group.add_argument(
        "--top-p",
        type=float,
        metavar="P",
        help="sample from the most probable tokens that together reach probability P",
    )
    group.add_argument(
        "--min-p",
        type=float,
        metavar="P",
        help="sample from tokens at least P times as probable as the most probable one",
    )
    group.add_argument("--seed", type=int, metavar="N", help="random seed (default: 0)")
    group.add_argument(
        "--repetition-penalty",
        type=float,
        default=1.0,
        metavar="X",
        help="values above 1 make repetition less likely (default: 1)",
    )
    group.add_argument("--num-beams", type=int, metavar="N", help="beam search with N beams instead of sampling")
    group.add_argument(
        "--length-penalty",
        type=float,
        metavar="A",
        help=f"length penalty of beam search; higher values favor longer answers (default: {DEFAULT_LENGTH_PENALTY})",
    )


def _add_ends(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("when to stop, apart from the end token")
    group.add_argument(
        "--max-new-tokens",
        type=int,
        metavar="N",
        help="maximum length of an answer in tokens (default: for a completion model, its limit in training; otherwise "
        f"{MAX_NEW_TOKENS}, or half the context if that is shorter)",
    )
    group.add_argument(
        "--stop-strings",
        action="append",
        default=[],
        metavar="TEXT",
        help=r"stop before this text (\n: new line); may be repeated",
    )
    group.add_argument(
        "--stop-token-ids",
        type=int,
        action="append",
        default=[],
        metavar="ID",
        help="stop at this token; may be repeated",
    )


def _add_answers(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--num-return-sequences", type=int, metavar="N", help="show the N best answers of beam search")
    group.add_argument(
        "--logprobs",
        type=int,
        nargs="?",
        const=0,
        metavar="K",
        help="show the log-probability of each token, and of the K most probable tokens at its position",
    )
    group.add_argument(
        "--plots",
        type=Path,
        metavar="FOLDER",
        help="write PNGs: the text colored by surprisal, and attention maps (needs matplotlib)",
    )


def _add_chat(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--system", metavar="TEXT", help="system message of a chat")
    group.add_argument(
        "--chat-template",
        type=Path,
        metavar="FILE",
        help="Jinja chat template, as in transformers (default: the model's own, or a dialogue as plain text)",
    )


def _max_tokens(options: argparse.Namespace, description: ModelDescription) -> int:
    if options.max_new_tokens is not None:
        return int(options.max_new_tokens)
    if description.prompt_format is not None:
        return description.prompt_format.max_completion_tokens
    context = max_position_embeddings_of(description.model)
    return default_max_new_tokens(context)


def _sampling(options: argparse.Namespace, description: ModelDescription) -> GenerationConfig:
    """The options as settings for sampling; a temperature of 0 is 1 here."""
    top_k = 50 if options.top_k is None and not answers_prompts(description) else options.top_k
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
        stop_strings=tuple(_unescape(stop) for stop in options.stop_strings),
        stop_token_ids=tuple(options.stop_token_ids),
    )


def _chosen_by(options: argparse.Namespace, sampling: GenerationConfig, *, is_greedy: bool) -> GenerationConfig:
    """Sampling, greedy decoding or beam search; ``is_greedy`` where no option decides."""
    num_beams = options.num_return_sequences if options.num_beams is None else options.num_beams
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
        raise UserError(
            f"{', '.join(given)}: beam search does not sample; remove these, or --num-beams and --num-return-sequences"
        )
    if options.chat:
        raise UserError(
            "--num-beams: a chat streams its answers, which beam search cannot do; remove --num-beams or --chat"
        )
    if options.num_return_sequences is not None and options.num_return_sequences > num_beams:
        raise UserError(
            f"--num-return-sequences {options.num_return_sequences}: beam search with {num_beams} beams returns at "
            f"most {num_beams} answers; raise --num-beams"
        )


def _unescape(text: str) -> str:
    return text.replace("\\n", "\n").replace("\\t", "\t")
