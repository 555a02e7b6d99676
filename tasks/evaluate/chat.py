"""Evaluates the chat model on test conversations, turn by turn, compared with retrieval from training conversations."""

from collections.abc import Sequence
from pathlib import Path

from lmcore.config.base import Split
from lmcore.config.evaluate import EvaluateConfig
from lmcore.config.finetune import FinetuneConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.errors import UserError
from lmcore.evaluation.chat import AnsweredTurns, evaluate_chat
from lmcore.evaluation.result import EvaluationResult
from lmcore.finetuning.chat.examples import CHAT_COLUMNS, Conversation, conversations
from lmcore.finetuning.examples import choose_examples
from lmcore.generation import Generator
from lmcore.generation.chat import ChatGenerator
from lmcore.models.folder import load_chat_template
from lmcore.progress import progress
from lmcore.text.documents.messages import Message
from lmcore.text.documents.shards import read_documents
from tasks.context.prefect import task
from tasks.evaluate.contamination import read_is_clean
from tasks.evaluate.models import generative_model_on_device, why_absent
from tasks.evaluate.results import write_result

NAME = "chat"


@task
def evaluate_chat_model(
    config: EvaluateConfig,
    finetune: FinetuneConfig,
    split: SplitFractions,
    *,
    documents: Path,
    models: Path,
    output: Path,
) -> None:
    """Write ``chat.json`` into ``output``: metrics by turn, and every answer with the expected one."""
    reason = why_absent(models, NAME)
    if reason is not None:
        write_result(output, NAME, EvaluationResult(skipped=reason))
        return
    if finetune.chat is None:
        raise UserError("there is a chat model, but finetune.chat is null in params.yaml: run `dvc repro finetune`")
    found = conversations(read_documents(documents, CHAT_COLUMNS), split)
    limit = config.completion.max_documents
    chosen: dict[Split, list[Conversation]] = {
        "train": choose_examples(found["train"], finetune.chat.max_train_samples, finetune.seed),
        "validation": choose_examples(found["validation"], limit, config.seed),
        "test": choose_examples(found["test"], limit, config.seed),
    }
    if not chosen["test"]:
        write_result(output, NAME, EvaluationResult(skipped="no test document is a conversation"))
        return
    generator = chat_generator(models / NAME)
    test = answered_turns(chosen["test"])
    prompts = [prompt for conversation in chosen["test"] for prompt, _ in conversation.answers()]
    result = evaluate_chat(
        f"fine-tuned {generator.generator.model.config.display_name}",
        replies(generator, prompts, config),
        test,
        training=answered_turns(chosen["train"]),
        validation=answered_turns(chosen["validation"]),
        is_clean=read_is_clean(output, test.ids),
        config=config,
    )
    write_result(output, NAME, result)


def chat_generator(folder: Path) -> ChatGenerator:
    """The chat model in a folder, on the device."""
    model, tokenizer = generative_model_on_device(folder)
    return ChatGenerator(Generator(model, tokenizer), load_chat_template(folder, tokenizer))


def replies(generator: ChatGenerator, prompts: Sequence[Sequence[Message]], config: EvaluateConfig) -> list[str]:
    """The model's answers, in batches."""
    size, answers = config.completion.batch_size, list[str]()
    with progress("Answer", len(prompts), "messages") as bar:
        for start in range(0, len(prompts), size):
            answers += generator.reply(prompts[start : start + size], config.completion.generation)
            bar.advance(len(answers) - start)
    return answers


def answered_turns(chosen: Sequence[Conversation]) -> AnsweredTurns:
    """The answers in conversations, with what precedes them."""
    turns = [
        (conversation.id, number, shown(prompt), prompt[-1].content if prompt else "", answer)
        for conversation in chosen
        for number, (prompt, answer) in enumerate(conversation.answers(), start=1)
    ]
    ids, numbers, histories, questions, answers = zip(*turns, strict=True) if turns else ((),) * 5
    return AnsweredTurns(ids, numbers, histories, questions, answers)


def shown(prompt: Sequence[Message]) -> str:
    """The messages before an answer as text."""
    return "\n".join(f"{message.role}: {message.content}" for message in prompt)


def row_of(conversation: Conversation) -> dict[str, str]:
    """A conversation for readers: its id, the prompt and the expected answer."""
    return {"id": conversation.id, "prompt": shown(conversation.prompt), "reference": conversation.answer}
