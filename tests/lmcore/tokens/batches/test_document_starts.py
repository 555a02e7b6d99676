"""Documents begin with their start token where they are read, and end with their end token where they are predicted."""

import numpy as np

from lmcore.tokens.batches.batches import WindowBatches
from lmcore.tokens.batches.document_starts import DocumentStartBatches
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

VOCABULARY = Vocabulary(size=9, end_of_text_id=0, padding_id=1, mask_id=2, start_of_text_id=3)
STREAM = np.array([4, 5, 0, 6, 7, 8, 0, 4, 0, 5, 6, 0, 7])


def test_only_the_token_before_a_document_differs() -> None:
    windows = WindowBatches(
        STREAM, STREAM, sequence_length=4, batch_size=3, seed=1, max_validation_windows=3, end_of_text_id=0
    )
    batches = DocumentStartBatches(windows, VOCABULARY)
    (batch,), (plain,) = batches.validation_batches(), windows.validation_batches()
    assert batch.tokens.tolist() == [[4, 5, 3, 6], [7, 8, 3, 4], [3, 5, 6, 3]]
    assert batch.targets.tolist() == [[5, 0, 6, 7], [8, 0, 4, 0], [5, 6, 0, 7]]
    assert batch.document_ids.equal(plain.document_ids)
    first = batches.training_batch(5)
    assert (first.tokens != VOCABULARY.end_of_text_id).all()
    assert first.targets.equal(windows.training_batch(5).targets)
    assert batches.drawn(3) == windows.drawn(3)
    assert batches.batches_per_epoch == windows.batches_per_epoch
