"""Every model writes its weights as they are, and reads only weights that are its own."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from lmcore.errors import UserError
from lmcore.models.model import Model
from tests.lmcore.models.small_models import VOCABULARY


class Weights(Model):
    """A model with a matrix that is a view of a larger one, and a buffer."""

    objective = "next_token"

    def __init__(self, n_rows: int = 3) -> None:
        super().__init__(None, VOCABULARY)
        self.matrix = nn.Parameter(torch.arange(n_rows * 4.0).view(4, n_rows).T)
        self.register_buffer("counts", torch.tensor([1, 2, 3]))


def test_weights_are_written_by_their_names_and_read_back(tmp_path: Path) -> None:
    model = Weights()
    assert not model.matrix.is_contiguous()
    model.save_weights(tmp_path / "weights")
    stored = load_file(tmp_path / "weights")
    assert stored.keys() == {"matrix", "counts"}
    assert stored["matrix"].tolist() == [[0.0, 3.0, 6.0, 9.0], [1.0, 4.0, 7.0, 10.0], [2.0, 5.0, 8.0, 11.0]]
    other = Weights()
    with torch.no_grad():
        other.matrix.zero_()
    other.counts.zero_()
    other.load_weights(tmp_path / "weights")
    assert torch.equal(other.matrix, model.matrix)
    assert other.counts.tolist() == [1, 2, 3]


def test_weights_of_another_shape_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    Weights(n_rows=2).save_weights(path)
    with pytest.raises(UserError, match=r"weights does not fit its config\.json: (?s:.*)matrix"):
        Weights().load_weights(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"weights is damaged \(.*\): restore it, or train the model again"):
        Weights().load_weights(path)


def test_the_device_is_that_of_the_weights() -> None:
    assert Weights().device == torch.device("cpu")
    assert Weights().to("meta").device == torch.device("meta")
