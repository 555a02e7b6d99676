"""Watches processor, memory, disk, network and GPUs while a model trains: the ``system/`` figures of its run."""

# Only imported once MLflow is: it stands above everything of MLflow that is needed here.
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor


class MachineMonitor(SystemMetricsMonitor):
    """MLflow's monitor, which also tells whether it has given up."""

    def __init__(self, run_id: str, tracking_uri: str) -> None:
        super().__init__(run_id, resume_logging=True, tracking_uri=tracking_uri)  # type: ignore[no-untyped-call]
        self.has_ended = False

    def monitor(self) -> None:
        """Sample and log until told to stop or until the store fails."""
        try:
            super().monitor()  # type: ignore[no-untyped-call]
        finally:
            self.has_ended = True

    def finish(self) -> None:
        """Stop, and log what is left if the store still answers."""
        if not self.has_ended:
            super().finish()  # type: ignore[no-untyped-call]
