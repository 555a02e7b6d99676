"""Means of what a model measures, over several batches."""

from collections.abc import Mapping


class MeanMetrics:
    """Combines metrics, each a mean over the targets of a batch, into means over the targets of all batches."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._n_targets = 0

    def add(self, means: Mapping[str, float], n_targets: int) -> None:
        """Add the means over a batch with this many targets."""
        for name, value in means.items():
            self._sums[name] = self._sums.get(name, 0.0) + value * n_targets
        self._n_targets += n_targets

    def means(self, prefix: str = "") -> dict[str, float]:
        """The means over all targets, by prefixed name; empty if nothing was measured."""
        return {f"{prefix}{name}": value / max(self._n_targets, 1) for name, value in self._sums.items()}
