"""What surrounds a task: environment, parameters, lineage, checkpoints."""
