"""What a model was trained on, as the documents that an n-gram model can be trained on as well."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class SeenDocuments:
    """Documents, and pieces of documents, that a training has seen."""

    tokens: npt.NDArray[np.integer]
    """(n_tokens,) end to end."""
    offsets: npt.NDArray[np.int64]
    """(n_documents + 1,) document i is ``tokens[offsets[i]:offsets[i + 1]]``."""
    continued: npt.NDArray[np.bool_]
    """(n_documents,) true where the training did not see what stood before."""

    @classmethod
    def of(cls, tokens: npt.NDArray[np.integer], pieces: npt.NDArray[np.int64], end_token: int) -> Self:
        """Divide pieces of a stream of documents, piece i being ``tokens[pieces[i]:pieces[i + 1]]``, at end tokens."""
        after_end = np.flatnonzero(np.asarray(tokens) == end_token) + 1
        offsets = np.unique(np.concatenate((pieces, after_end)))
        return cls(tokens, offsets, np.isin(offsets[:-1], pieces))
