"""``lmcore``: its help is fast and complete, and its subcommands evaluate and convert models."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import transformers

import lmcore
from lmcore.command_line.main import COMMANDS, main

TEXTS = [f"The {color} {animal} sleeps." for color in ("red", "blue", "old") for animal in ("cat", "dog", "fox")] * 2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("models") / "gpt2"
    lmcore.train(TEXTS, max_steps=3, hidden_size=32, num_hidden_layers=1, family="gpt2").save(folder)
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("models") / "classifier"
    pairs = [(text, "cat" if "cat" in text else "other") for text in TEXTS]
    lmcore.train_classifier(pairs, max_steps=30, hidden_size=32, num_hidden_layers=1).save(folder)
    return folder


def test_help_names_every_command_and_imports_no_torch() -> None:
    program = (
        "import sys\nfrom lmcore.command_line.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert all(name in done.stdout and command.summary in done.stdout for name, command in COMMANDS.items())
    assert done.stdout.endswith("False\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    help_text = capsys.readouterr().out
    assert f"usage: lmcore {command}" in help_text
    assert f"examples:\n  lmcore {command} " in help_text
    assert max(map(len, help_text.splitlines())) <= 100


def test_a_command_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["generat"])
    assert "invalid choice: 'generat'" in capsys.readouterr().err


def test_a_text_file_is_scored_as_the_library_scores_it(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, text = tmp_path / "text.txt", "The red fox sleeps.\n\nThe old cat sleeps.\n"
    file.write_text(text)
    loaded = lmcore.load(model)
    assert isinstance(loaded, lmcore.LanguageModel)
    main(["evaluate", str(model), str(file), "--json"])
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["perplexity"] == pytest.approx(loaded.perplexity(text))
    assert metrics["bits_per_byte"] == pytest.approx(loaded.bits_per_byte(text))
    main(["evaluate", str(model), str(file), "--json", "--lines"])
    by_line = json.loads(capsys.readouterr().out)
    assert (by_line["texts"], by_line["bytes"]) == (2, len(text) - 3)
    main(["evaluate", str(model), str(file), "--json", "--load-in-8bit"])
    rounded = json.loads(capsys.readouterr().out)["bits_per_byte"]
    assert rounded != metrics["bits_per_byte"]
    assert rounded == pytest.approx(metrics["bits_per_byte"], rel=0.05)
    main(["evaluate", str(model), str(file)])
    assert f"perplexity              {metrics['perplexity']:.4f}\n" in capsys.readouterr().out


def test_a_classifier_is_scored_on_lines_of_label_and_text(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "labeled.tsv"
    file.write_text("cat\tThe red cat sleeps.\nother\tThe old dog sleeps.\nbird\tThe old fox sleeps.\n")
    main(["evaluate", str(classifier), str(file), "--json"])
    captured = capsys.readouterr()
    metrics = {"examples": 3, "accuracy": pytest.approx(2 / 3), "majority_baseline": pytest.approx(1 / 3)}
    assert json.loads(captured.out) == metrics
    assert captured.err.startswith("warning: 1 examples have labels that the classifier cannot predict (bird)")


def test_a_model_is_converted_to_hugging_face_and_back(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["convert", str(model), str(tmp_path / "exported")])
    assert "a folder for Hugging Face transformers" in capsys.readouterr().out
    assert transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "exported").config.model_type == "gpt2"
    main(["convert", str(tmp_path / "exported"), str(tmp_path / "back")])
    assert (tmp_path / "back" / "weights.safetensors").read_bytes() == (model / "weights.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "MODEL", "absent.txt"], "No such file or directory: 'absent.txt'"),
        (["evaluate", "MODEL", "EMPTY"], "has no text"),
        (["evaluate", "MODEL", "LATIN"], "byte 4 is not UTF-8"),
        (["evaluate", "CLASSIFIER", "TEXT"], "'no label' has no label; for a classifier, every line is LABEL<TAB>TEXT"),
        (["evaluate", "absent", "TEXT"], "absent is not a model folder: it has no config.json"),
        (["convert", "absent", "new"], "absent holds no model: it has no config.json"),
        (["convert", "MODEL", "TEXT"], "exists: choose a new folder, or remove it"),
        (["convert", "CLASSIFIER", "new"], "can be exported to Hugging Face"),
    ],
)
def test_what_a_command_cannot_do_is_said_in_one_line(
    model: Path,
    classifier: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    (tmp_path / "text").write_text("no label\n")
    paths = {"EMPTY": tmp_path / "empty", "LATIN": tmp_path / "latin", "TEXT": tmp_path / "text"}
    paths |= {"MODEL": model, "CLASSIFIER": classifier}
    with pytest.raises(SystemExit, match="1"):
        main([str(paths.get(argument, argument)) for argument in arguments])
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
