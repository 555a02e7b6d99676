"""One file per stage, thin wiring of tasks; around them the pipeline, its schedule and its servers.

Importing this package points the libraries' own folders into the project's work folder and switches telemetry
off: most libraries read these settings once, when they are imported, so it has to happen first.
"""

from tasks.context.environment import prepare

prepare()
