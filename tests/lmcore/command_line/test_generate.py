"""``lmcore generate``, as a user calls it."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lmcore.command_line.generate import load_generator, main
from lmcore.command_line.generation_options import generation_config, make_parser
from lmcore.config.models import NgramConfig
from lmcore.generation import Generator
from lmcore.models.chat_template import DEFAULT_TEMPLATE
from lmcore.models.folder import load_generative_model, read_description, save_language_model
from lmcore.models.ngram.model import NgramModel
from tests.lmcore.models.prompt_formats import prompt_format_with
from tests.tasks.tracking.tiny_models import save_tiny_model

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("models")
    for model in ("language-model", "classifier", "completion"):
        save_tiny_model(folder / model, model)
    return folder


@pytest.fixture(scope="module")
def generator(folder: Path) -> Generator:
    return load_generator(folder / "language-model")


def expected(generator: Generator, folder: Path, *arguments: str) -> list[str]:
    """What the Python interface gives for the same options."""
    options = make_parser().parse_args([str(folder / "language-model"), *arguments])
    config = generation_config(options, read_description(options.model))
    return [completion.text or "" for completion in generator.complete(options.prompt, config)]


def test_a_prompt_in_another_process_is_answered_on_standard_output(folder: Path, generator: Generator) -> None:
    arguments = ("--prompt", "the list", "--max-new-tokens", "9", "--seed", "3")
    done = subprocess.run(
        [sys.executable, "-m", "lmcore", "generate", str(folder / "language-model"), *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{expected(generator, folder, *arguments)[0]}\n"


def test_an_assistant_changes_no_answer_and_has_to_fit(
    folder: Path, generator: Generator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vocabulary = generator.model.vocabulary
    assistant = NgramModel(NgramConfig(family="ngram", order=3), vocabulary)
    tokens = np.array([*generator.tokenizer.encode("the list of the list of names"), vocabulary.end_of_text_id])
    assistant.fit(tokens, np.array([0, len(tokens)]))
    save_language_model(tmp_path / "assistant", assistant, generator.tokenizer, {})
    arguments = ("--prompt", "the list", "--max-new-tokens", "9", "--temperature", "0")
    model = str(folder / "language-model")
    main([model, *arguments, "--assistant-model", str(tmp_path / "assistant")])
    assert capsys.readouterr().out == f"{expected(generator, folder, *arguments)[0]}\n"
    with pytest.raises(SystemExit):
        main([model, *arguments, "--assistant-model", model])
    assert "only n-gram models draft tokens" in capsys.readouterr().err


def test_8_bit_weights_answer_as_the_library_does_with_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--prompt", "the list", "--max-new-tokens", "9", "--temperature", "0")
    main([str(folder / "language-model"), *arguments, "--load-in-8bit"])
    rounded = load_generator(folder / "language-model", in_8bit=True)
    assert capsys.readouterr().out == f"{expected(rounded, folder, *arguments)[0]}\n"


def test_an_error_in_another_process_is_one_line(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lmcore", "generate", str(folder / "classifier"), "--prompt", "a"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"error: {folder / 'classifier'} holds a classifier, not a language model\n"


def test_several_prompts_are_answered_each_below_its_own(
    folder: Path, generator: Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--prompt", "the list", "--prompt", "is sorted", "--max-new-tokens", "5")
    main([str(folder / "language-model"), *arguments])
    first, second = expected(generator, folder, *arguments)
    assert capsys.readouterr().out == f"--- 1: the list\n{first}\n--- 2: is sorted\n{second}\n"


def test_the_best_answers_are_shown_in_order_with_their_log_probabilities(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--num-return-sequences", "3", "--length-penalty", "0", "--max-new-tokens", "2", "--logprobs", "2"]
    main([str(folder / "completion"), "--prompt", "the", *options])
    lines = capsys.readouterr().out.splitlines()
    totals = [float(line.split()[-1]) for line in lines if line.startswith("[")]
    assert len(totals) == 3
    assert totals == sorted(totals, reverse=True)


def test_plots_are_written_for_every_prompt(folder: Path, tmp_path: Path) -> None:
    arguments = ["--prompt", "the list", "--prompt", "$x$ 世\n\nin place " * 20, "--max-new-tokens", "4"]
    main([str(folder / "language-model"), *arguments, "--plots", str(tmp_path)])
    names = {"surprisal-1.png", "surprisal-2.png", "attention-1.png", "attention-2.png"}
    assert {file.name for file in tmp_path.iterdir()} == names
    assert all(file.read_bytes().startswith(PNG) for file in tmp_path.iterdir())


def test_a_chat_answers_every_line_until_the_input_ends(folder: Path, tmp_path: Path) -> None:
    template = tmp_path / "template.jinja"
    template.write_text(DEFAULT_TEMPLATE)
    options = ["--chat-template", str(template), "--max-new-tokens", "4", "--seed", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "lmcore", "chat", str(folder / "language-model"), *options],
        input="the list\n\nis sorted\n" * 4,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr.startswith("(the context is full: the oldest ")
    assert done.stdout.count("> ") >= 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--top-p", "2"], "error: --top-p 2.0: must be less than or equal to 1"),
        (["--max-new-tokens", "99"], "error: max_new_tokens 99 leaves no room for a prompt in the context of 32"),
        (["--num-beams", "2", "--seed", "1"], "error: --seed: beam search does not sample"),
        (
            ["--num-beams", "2", "--num-return-sequences", "3"],
            "error: --num-return-sequences 3: beam search with 2 beams returns at most 2 answers",
        ),
        (["--length-penalty", "1"], "error: --length-penalty needs --num-beams"),
        (["--num-beams", "0"], "error: --num-beams 0: must be greater than or equal to 1"),
        (["--num-return-sequences", "0"], "error: --num-return-sequences 0: expected 1 or more"),
        (["--logprobs", "-1"], "error: --logprobs -1: expected 0 or more"),
        (["--stop-strings", ""], "error: --stop-strings '': must have at least 1 character"),
        (["--stop-token-ids", "-1"], "error: --stop-token-ids -1: must be greater than or equal to 0"),
        (["--stop-token-ids", "999999"], "error: --stop-token-ids 999999: the model's tokens are 0 to "),
        (["--system", "be brief"], "error: --system: works only with --chat"),
        (["--chat-template", "nowhere.json"], "error: --chat-template: works only with --chat"),
        (["--prompt", "caf\udce9"], "error: byte 4 of the prompt is not UTF-8"),
    ],
)
def test_invalid_options_are_reported_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match="1"):
        main([str(folder / "language-model"), "--prompt", "a", *arguments])
    assert capsys.readouterr().err.startswith(message)


@pytest.mark.parametrize(
    ("model", "option", "message"),
    [
        ("language-model", ["--plots", "f"], "error: --plots: works only with --prompt"),
        ("language-model", ["--logprobs", "2"], "error: --logprobs: works only with --prompt"),
        ("language-model", ["--num-beams", "2"], "error: --num-beams: a chat streams its answers"),
        ("completion", [], "error: --chat: this model completes one prompt at a time"),
    ],
)
def test_a_chat_refuses_what_it_would_ignore(
    folder: Path, capsys: pytest.CaptureFixture[str], model: str, option: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match="1"):
        main([str(folder / model), "--chat", *option])
    assert capsys.readouterr().err.startswith(message)


def test_standard_input_that_is_missing_or_not_utf8_is_reported(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for given, message in ((io.TextIOWrapper(io.BytesIO(b"caf\xe9")), "not UTF-8"), (None, "standard input is not")):
        monkeypatch.setattr(sys, "stdin", given)
        with pytest.raises(SystemExit, match="1"):
            main([str(folder / "language-model"), "--prompt", "-"])
        assert message in capsys.readouterr().err


def test_a_truncated_prompt_is_reported(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    main([str(folder / "language-model"), "--prompt", "the list is sorted in place " * 9, "--max-new-tokens", "20"])
    assert "with max_new_tokens 20, the context of 32 has room for 12, so only their last tokens" in caplog.text


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (None, "is not a model folder: it has no config.json"),
        ("config.json", "config.json was damaged or altered"),
        ("weights.safetensors", "weights.safetensors was damaged or altered"),
        ("tokenizer.json", "tokenizer.json was damaged or altered"),
    ],
)
def test_an_incomplete_model_folder_is_reported_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str | None, message: str
) -> None:
    if damage is not None:
        save_tiny_model(tmp_path, "language-model")
        (tmp_path / damage).write_text("{")
    with pytest.raises(SystemExit, match="1"):
        main([str(tmp_path), "--prompt", "a"])
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_without_matplotlib_the_option_that_needs_it_says_how_to_install_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit, match="1"):
        main([str(folder / "language-model"), "--prompt", "a", "--max-new-tokens", "2", "--plots", str(tmp_path)])
    captured = capsys.readouterr()
    assert captured.err == "error: --plots needs matplotlib: install it with `pip install matplotlib`\n"
    assert captured.out == ""


@pytest.fixture
def two_fields(folder: Path, tmp_path: Path) -> Path:
    """A completion model whose prompt has two variables."""
    model, tokenizer = load_generative_model(folder / "completion")
    template = "{{ context }}\n{{ question }}\n"
    prompt_format = prompt_format_with("", 16, 8, template=template, truncated_field="context")
    record = {"version": 2}
    save_language_model(tmp_path / "two-fields", model, tokenizer, record, prompt_format=prompt_format)
    return tmp_path / "two-fields"


def test_fields_are_the_variables_of_a_prompt(
    two_fields: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"the list")))
    main([str(two_fields), "--field", "context=-", "--field", "question=is = sorted", "--logprobs", "0"])
    generator = load_generator(two_fields)
    options = make_parser().parse_args([str(two_fields), "--field", "a=b"])
    config = generation_config(options, read_description(two_fields))
    answer = generator.complete([{"context": "the list", "question": "is = sorted"}], config)[0]
    assert capsys.readouterr().out.startswith(f"{answer.text}\n")


@pytest.mark.parametrize("fields", [["context"], ["=text"], ["context=a", "context=b"]])
def test_a_field_has_a_name_of_its_own(two_fields: Path, capsys: pytest.CaptureFixture[str], fields: list[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        main([str(two_fields), *(part for field in fields for part in ("--field", field))])
    assert "expected NAME=TEXT, and each name once" in capsys.readouterr().err
