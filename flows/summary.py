"""What a person wants to see when the pipeline has ended: stages, main metrics, samples, where to look further."""

from rich.console import Console
from rich.table import Table

from flows.stage_graph import StageResult
from tasks.environment import Environment


def show_summary(results: list[StageResult], environment: Environment) -> None:
    """Print the end of a pipeline run."""
    console = Console()
    console.print(_stage_table(results))


def _stage_table(results: list[StageResult]) -> Table:
    table = Table("stage", "state")
    table.add_column("seconds", justify="right")
    table.add_column("peak memory", justify="right")
    for result in results:
        memory = "" if result.peak_memory_bytes is None else f"{result.peak_memory_bytes / 2**30:.2f} GiB"
        table.add_row(result.name, result.state, f"{result.seconds:.1f}", memory)
    return table
