from lmcore.training.mean_metrics import MeanMetrics


def test_batches_count_by_their_targets() -> None:
    metrics = MeanMetrics()
    metrics.add({"reward": 1.0}, 3)
    metrics.add({"reward": 0.0}, 1)
    assert metrics.means("validation_") == {"validation_reward": 0.75}
    assert MeanMetrics().means() == {}
