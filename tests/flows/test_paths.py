"""The paths of the pipeline are those that ``dvc.yaml`` names as the outputs of its stages; comparisons have others."""

from pathlib import Path

from ruamel.yaml import YAML

from flows import paths
from tests.sample_project import PROJECT

GRAPH = YAML(typ="safe").load(PROJECT / "dvc.yaml")["stages"]


def test_the_paths_of_the_flows_are_the_outputs_of_the_stage_graph() -> None:
    inputs = {paths.PARAMETERS, paths.LOCK}
    of_comparisons = {paths.LADDER, paths.SCALING, paths.SWEEPS}
    named = {value for value in vars(paths).values() if isinstance(value, Path)} - inputs - of_comparisons
    outputs = [out for stage in GRAPH.values() for out in [*stage["outs"], *stage.get("metrics", [])]]
    assert named == {Path(next(iter(out)) if isinstance(out, dict) else out) for out in outputs}
    assert all((PROJECT / path).exists() for path in inputs)
