"""``lmcore generate``: continue prompts, or chat, in the terminal."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

from lmcore.command_line.chat import chat, show_stream
from lmcore.command_line.errors import errors_in_one_line
from lmcore.command_line.generation_options import check_stop_tokens, generation_config, make_parser
from lmcore.errors import UserError
from lmcore.finetuning.adapter_folder import load_adapter, read_adapter
from lmcore.generation.chat import ChatGenerator
from lmcore.generation.completion import Completion
from lmcore.generation.generator import Generator
from lmcore.models.chat_template import ChatTemplate
from lmcore.models.device import native_bfloat16, pick_device
from lmcore.models.folder import load_chat_template, load_generative_model, read_description
from lmcore.models.ngram.model import NgramModel
from lmcore.models.prompt import Prompt
from lmcore.models.quantization import load_in_8bit
from lmcore.tokens.tokenizer.tokenizer import Tokenizer


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (or ``arguments``)."""
    options = make_parser().parse_args(arguments)
    with errors_in_one_line():
        run(options)


def load_generator(
    folder: Path, adapter: Path | None = None, *, in_8bit: bool = False, assistant_folder: Path | None = None
) -> Generator:
    """The model in ``folder``, on the GPU if there is one, in the precision that is fastest for one prompt.

    Args:
        folder: the model folder.
        adapter: a folder of low-rank adapters that were trained on this model.
        in_8bit: compute with 8-bit weights.
        assistant_folder: the folder of an n-gram model that drafts, with the same tokenizer.

    Raises:
        FileNotFoundError: if a file is missing.
        UserError: if the model does not generate text, the adapters belong to another model, it has no 8-bit weights,
            or the drafts are not from an n-gram model with the same tokenizer.
    """
    model, tokenizer = load_generative_model(folder)
    prompt_format = read_description(folder).prompt_format
    if adapter is not None:
        prompt_format = load_adapter(adapter, model).prompt_format
    device = pick_device()
    # A CPU multiplies a single row faster by the float32 weights, which need no conversion.
    is_fast = device.type == "cuda" and native_bfloat16(device)
    model.compute_in(torch.bfloat16 if is_fast else torch.float32)
    model = model.to(device)
    if in_8bit:
        load_in_8bit(model)
    assistant = None if assistant_folder is None else _load_assistant(assistant_folder, tokenizer)
    return Generator(model, tokenizer, prompt_format, assistant)


def _load_assistant(folder: Path, tokenizer: Tokenizer) -> NgramModel:
    model, own_tokenizer = load_generative_model(folder)
    if not isinstance(model, NgramModel):
        raise UserError(f"{folder} holds a model of class {type(model).__name__}: only n-gram models draft tokens")
    if own_tokenizer.to_json() != tokenizer.to_json():
        raise UserError(f"the model in {folder} has another tokenizer, so it cannot draft for this model")
    return model


def run(options: argparse.Namespace) -> None:
    """Generate text as the options say."""
    if options.plots is not None and find_spec("matplotlib") is None:
        raise UserError("--plots needs matplotlib: install it with `pip install matplotlib`")
    config = generation_config(options, read_description(options.model))
    generator = load_generator(
        options.model, options.adapter, in_8bit=options.load_in_8bit, assistant_folder=options.assistant_model
    )
    check_stop_tokens(config, generator.model.vocabulary.size)
    if options.chat:
        chat(ChatGenerator(generator, _template(options, generator)), config, options.system)
        return
    prompts = _prompts(options)
    is_plain = options.logprobs is None and options.plots is None
    if len(prompts) == 1 and is_plain and config.num_beams == 1 and options.num_return_sequences is None:
        show_stream(generator.stream(prompts[0], config))
        return
    answers = generator.complete_n_best(prompts, config, n_top_logprobs=options.logprobs or 0)
    for number, (prompt, candidates) in enumerate(zip(prompts, answers, strict=True), start=1):
        if len(prompts) > 1:
            sys.stdout.write(f"--- {number}: {_shortened(generator.prompt_text(prompt))}\n")
        _show_answers(generator, candidates[: options.num_return_sequences or 1], options)
        if options.plots is not None:
            _write_plots(generator, prompt, candidates[0], options.plots, number)


def _show_answers(generator: Generator, candidates: Sequence[Completion], options: argparse.Namespace) -> None:
    for rank, completion in enumerate(candidates, start=1):
        if options.num_return_sequences is not None:
            sys.stdout.write(f"[{rank}] log-probability {sum(completion.logprobs):.3f}\n")
        sys.stdout.write(f"{completion.text}\n")
        if options.logprobs is not None:
            sys.stdout.writelines(f"{line}\n" for line in _token_lines(generator, completion))


def _token_lines(generator: Generator, completion: Completion) -> Iterator[str]:
    """A line per token: its log-probability, the token, and the most probable tokens at its position."""
    end = generator.tokenizer.vocabulary.end_of_text_id
    tokens = completion.tokens if completion.finish_reason == "length" else [*completion.tokens, end]
    for position, (token, value) in enumerate(zip(tokens, completion.logprobs, strict=False)):
        others = ""
        if completion.top_logprobs:
            most_probable = completion.top_logprobs[position]
            pairs = zip(most_probable.tokens, most_probable.logprobs, strict=True)
            others = "   ".join(f"{_token_name(generator, other)} {number:.3f}" for other, number in pairs)
        yield f"{value:9.3f}  {_token_name(generator, token):<16}  {others}".rstrip()


def _token_name(generator: Generator, token: int) -> str:
    if token == generator.tokenizer.vocabulary.end_of_text_id:
        return "<end>"
    return repr(generator.tokenizer.decode([token]))


def _write_plots(generator: Generator, prompt: Prompt, completion: Completion, folder: Path, number: int) -> None:
    # Matplotlib takes a second to import, and is an optional dependency.
    from lmcore.command_line.attention import attention_maps, has_attention
    from lmcore.command_line.plots import draw_attention, draw_surprisal
    from lmcore.generation.surprisal import span_surprisals

    model = generator.model
    start = generator.tokenizer.vocabulary.start_id
    tokens = [*generator.encode(prompt), *completion.tokens]
    tokens = tokens[1:] if tokens[:1] == [start] else tokens
    spans = span_surprisals(tokens, model.token_log_probabilities(tokens), generator.tokenizer.decode)
    shown_prompt = _shortened(generator.prompt_text(prompt))
    paths = [folder / f"surprisal-{number}.png"]
    draw_surprisal(paths[0], spans, title=f"Surprisal of “{shown_prompt}” and its answer")
    if has_attention(model):
        shown = [start, *tokens][-(model.max_position_embeddings or 0) :]
        names = ["<start>" if token == start else generator.tokenizer.decode([token]) for token in shown]
        paths.append(folder / f"attention-{number}.png")
        draw_attention(paths[1], attention_maps(model, shown), names, title=f"Attention in “{shown_prompt}”")
    sys.stderr.write(f"wrote {' and '.join(map(str, paths))}\n")


def _prompts(options: argparse.Namespace) -> list[Prompt]:
    """The prompts of ``--prompt``, or the one whose variables ``--field`` gives.

    Raises:
        UserError: if a field has no name, or two fields have the same.
    """
    if options.field is None:
        return [_read_prompt(prompt) for prompt in options.prompt]
    values: dict[str, str] = {}
    for field in options.field:
        name, separator, text = field.partition("=")
        if not name or not separator or name in values:
            raise UserError(f"--field {field!r}: expected NAME=TEXT, and each name once")
        values[name] = _read_prompt(text)
    return [values]


def _read_prompt(prompt: str) -> str:
    """The text of a prompt or field, or of standard input if it is ``-``.

    Raises:
        UserError: if it is not UTF-8, or there is no standard input.
    """
    if prompt != "-":
        # Python represents bytes that are not UTF-8 as lone surrogates.
        content = prompt.encode("utf-8", "surrogateescape")
    elif sys.stdin is None:
        raise UserError("-: standard input is not available; pass the text itself, or redirect a file with `< FILE`")
    else:
        content = sys.stdin.buffer.read()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"byte {error.start + 1} of the prompt is not UTF-8; convert it, for example with `iconv -t UTF-8`"
        ) from None


def _template(options: argparse.Namespace, generator: Generator) -> ChatTemplate | None:
    """The given chat template, or that of the adapters or of the model."""
    path: Path | None = options.chat_template
    source = None if path is None else path.read_text(encoding="utf-8")
    if source is None and options.adapter is not None:
        source = read_adapter(options.adapter).chat_template
    if source is None:
        return load_chat_template(options.model, generator.tokenizer)
    return ChatTemplate(source, generator.tokenizer)


def _shortened(prompt: str, length: int = 40) -> str:
    line = " ".join(prompt.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"
