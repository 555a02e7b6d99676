"""What the language model writes when it is asked to go on."""

from pathlib import Path

from lmcore.config.evaluate import SamplesConfig
from lmcore.generation import Generator
from lmcore.models.causal import CausalModel
from lmcore.runtime.files import write_json
from tasks.context.prefect import task
from tasks.evaluate.models import language_model_on_device


@task
def generate_samples(config: SamplesConfig, *, language_model: Path, output: Path) -> None:
    """Write ``samples.json`` into ``output``: what a causal model makes of every prompt."""
    model, tokenizer = language_model_on_device(language_model)
    if not isinstance(model, CausalModel):
        write_json(output / "samples.json", [])
        return
    continuations = Generator(model, tokenizer).complete(config.prompts, config.generation)
    samples = [
        {"prompt": prompt, "continuation": continuation.text}
        for prompt, continuation in zip(config.prompts, continuations, strict=True)
    ]
    write_json(output / "samples.json", samples)
