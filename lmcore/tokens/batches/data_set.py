"""Token shards as a ``datasets`` dataset, for training with another library."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lmcore.errors import UserError
from lmcore.text.split import SPLITS
from lmcore.tokens.corpus.shards import TokenShards

if TYPE_CHECKING:
    import datasets


def token_data_set(folder: Path, split: str) -> "datasets.IterableDataset":
    """A split of token shards as a dataset with one document per row, read lazily.

    Args:
        folder: the folder that :func:`lmcore.tokens.corpus.shards.write_shards` wrote.
        split: ``train``, ``validation`` or ``test``.

    Returns:
        Rows with the document's ``id`` and its ``input_ids``, which end with the end token.

    Raises:
        FileNotFoundError, UserError: as :meth:`TokenShards.open`, and if there is no such split.
    """
    import datasets

    if split not in SPLITS:
        raise UserError(f"there is no split {split!r}: choose {', '.join(SPLITS[:-1])} or {SPLITS[-1]}")
    TokenShards.open(folder)  # reports errors now rather than in the middle of a training
    features = datasets.Features({"id": datasets.Value("string"), "input_ids": datasets.List(datasets.Value("int64"))})
    return datasets.IterableDataset.from_generator(
        _rows, features=features, gen_kwargs={"folder": str(folder), "split": split}
    )


def _rows(folder: str, split: str) -> Iterator[dict[str, object]]:
    shards = TokenShards.open(Path(folder))
    tokens, offsets = shards.tokens(split), shards.offsets(split)
    for number, name in enumerate(shards.document_ids(split)):
        yield {"id": name, "input_ids": tokens[offsets[number] : offsets[number + 1]].astype("int64")}
