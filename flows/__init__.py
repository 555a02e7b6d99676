"""What a person or a schedule starts: a flow per stage, and the commands around them; ``runtime`` has the machinery.

Importing this package points the libraries' own folders into the project's work folder and turns telemetry off, because
most libraries read these settings once, when they are imported. For the same reason it restarts the command of a stage
that lacks the settings of a computing process.
"""

import sys

try:
    from tasks.context.environment import prepare
    from tasks.context.process_start import restart_with_settings
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] in ("tasks", "lmcore"):
        raise
    sys.exit(
        f"{sys.executable} lacks the package {error.name}. Activate the project's environment, "
        "`. .venv/bin/activate`, which `make install` creates"
    )

STAGES = ("collect", "clean", "tokenize", "pretrain", "finetune", "evaluate")

restart_with_settings([f"flows.{name}" for name in (*STAGES, "ladder", "scaling")])
prepare()
