"""What the language model writes when it is asked to go on."""

from pathlib import Path

from lmcore.config.evaluate import SamplesConfig
from lmcore.generation import Generator
from lmcore.models.generative import GenerativeModel
from lmcore.runtime.files import write_json
from tasks.evaluate.models import language_model_on_device
from tasks.step import step


@step()
def generate_samples(config: SamplesConfig, *, language_model: Path, output: Path) -> None:
    """Write ``samples.json`` into ``output``: what a causal model makes of every prompt."""
    model, tokenizer = language_model_on_device(language_model)
    if not isinstance(model, GenerativeModel) or model.reads_source:
        write_json(output / "samples.json", [])
        return
    continuations = Generator(model, tokenizer).complete(config.prompts, config.generation)
    samples = [
        {"prompt": prompt, "continuation": continuation.text}
        for prompt, continuation in zip(config.prompts, continuations, strict=True)
    ]
    write_json(output / "samples.json", samples)
