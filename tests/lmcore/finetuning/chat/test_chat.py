"""Only answers are learned, with the token that ends a turn, and nothing of a truncated one but its beginning."""

import json
from typing import Any

import pyarrow as pa
import pytest

from lmcore.config.chat import ChatTrainingConfig
from lmcore.finetuning.chat.examples import Conversation, conversations
from lmcore.finetuning.chat.preparation import chat_batches, chat_template_of, choose_conversations
from lmcore.finetuning.chat.sequences import chat_sequences
from lmcore.models.chat_template import DEFAULT_TEMPLATE, FILE_NAME
from lmcore.text.documents.messages import Message, to_json
from lmcore.tokens.batches.batches import IGNORED
from tests.lmcore.finetuning.conversations import END, TEMPLATE, TOKENIZER, conversation, training
from tests.lmcore.finetuning.sample_documents import FRACTIONS

TWO_TURNS = conversation("What is one?", "It is 1.", "And two?", "It is 2.")


def test_only_the_answers_with_their_ends_are_targets() -> None:
    ((tokens, targets),) = chat_sequences([TWO_TURNS], TEMPLATE, max_tokens=100, reads_source=False).sequences
    learned = [target for target in targets if target != IGNORED]
    assert learned == [*TOKENIZER.encode("It is 1."), END, *TOKENIZER.encode("It is 2."), END]
    assert all(target in (IGNORED, token) for target, token in zip(targets, tokens[1:], strict=False))
    assert tokens[0] == END


def test_a_truncated_answer_does_not_end() -> None:
    ((whole, _),) = chat_sequences([TWO_TURNS], TEMPLATE, max_tokens=100, reads_source=False).sequences
    found = chat_sequences([TWO_TURNS], TEMPLATE, max_tokens=len(whole) - 1, reads_source=False)
    ((tokens, targets),) = found.sequences
    assert (len(tokens), found.n_cut) == (len(whole) - 1, 1)
    assert targets.count(END) == 1  # that of the first answer
    none = chat_sequences([TWO_TURNS], TEMPLATE, max_tokens=3, reads_source=False)
    assert (none.sequences, none.n_without_answer) == ([], 1)


def test_an_encoder_decoder_reads_the_conversation_so_far_and_writes_each_answer() -> None:
    found = chat_sequences([TWO_TURNS], TEMPLATE, max_tokens=100, reads_source=True)
    prompts = [TEMPLATE.prompt(TWO_TURNS.messages[:1]), TEMPLATE.prompt(TWO_TURNS.messages[:3])]
    answers = [[*TOKENIZER.encode(text), END] for text in ("It is 1.", "It is 2.")]
    assert found.sequences == list(zip(prompts, answers, strict=True))
    short = chat_sequences([TWO_TURNS], TEMPLATE, max_tokens=4, reads_source=True)
    assert short.sequences == [(prompt[-4:], answer[:4]) for prompt, answer in zip(prompts, answers, strict=True)]


def test_documents_are_conversations_by_their_messages_or_their_targets() -> None:
    pair = [Message("user", "Hi"), Message("assistant", "Hello")]
    table = pa.table(
        {
            "id": ["1", "2", "3"],
            "split": ["train", "test", "train"],
            "text": ["User: Hi\nAssistant: Hello", "Hi", "alone"],
            "target": pa.array([None, "Hello", None], pa.string()),
            "messages": pa.array([to_json(pair), None, None], pa.string()),
            "rejected": pa.array([None, "No", None], pa.string()),
        }
    )
    found = conversations(table, FRACTIONS)
    assert found["train"] == [Conversation("1", tuple(pair))]
    assert found["test"] == [Conversation("2", tuple(pair), "No")]
    assert list(found["train"][0].answers()) == [((pair[0],), "Hello")]
    assert choose_conversations(table, FRACTIONS, 5, 5, seed=1) == (found["train"], [])


def config(**changes: Any) -> ChatTrainingConfig:
    values = {"init_from": "language_model", "chat_template": None, "max_tokens": 60, "packing": True, "lora": None}
    values |= {"frozen_layers": None}
    return ChatTrainingConfig(**(values | {"max_train_samples": 9, "training": training(2)} | changes))


def test_packed_conversations_are_all_there_each_in_its_own_document() -> None:
    examples = [conversation("What is one?", f"It is {number}.") for number in range(8)]
    batches = chat_batches(examples, examples, TEMPLATE, config(), seed=1, padding=1, reads_source=False)
    found = [batches.training_batch(step) for step in range(round(batches.batches_per_epoch))]
    assert sum(int((batch.targets == END).sum()) for batch in found) == len(examples)
    assert all(batch.arguments["document_ids"].shape == batch.tokens.shape for batch in found)
    with pytest.raises(ValueError, match="set packing to false"):
        chat_batches(examples, examples, TEMPLATE, config(), seed=1, padding=1, reads_source=True)


def test_a_template_is_the_given_one_or_the_base_models_or_the_default(tmp_path: Any) -> None:
    assert chat_template_of(tmp_path, None, TOKENIZER).source == DEFAULT_TEMPLATE
    theirs, own, given = (DEFAULT_TEMPLATE + f"{{# {name} #}}" for name in ("theirs", "own", "given"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": theirs}))
    assert chat_template_of(tmp_path, None, TOKENIZER).source == theirs
    (tmp_path / FILE_NAME).write_text(own)
    assert chat_template_of(tmp_path, None, TOKENIZER).source == own
    (tmp_path / "given.jinja").write_text(given)
    assert chat_template_of(tmp_path, tmp_path / "given.jinja", TOKENIZER).source == given
