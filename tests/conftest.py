"""What every test shares."""

import atexit
import importlib
import os
import shutil
import signal
import tempfile

import torch
from hypothesis import settings

from tasks.context.environment import prepare
from tasks.context.library_settings import withdraw_defaults

# Nothing of the developer's own servers and settings reaches the tests, and nothing of theirs the work folder.
withdraw_defaults()
for name in [name for name in os.environ if name.startswith(("LMCORE_", "PREFECT_", "MLFLOW_", "DVC_"))]:
    del os.environ[name]
os.environ["LMCORE_WORK_FOLDER"] = tempfile.mkdtemp(prefix="lmcore-tests-")
atexit.register(shutil.rmtree, os.environ["LMCORE_WORK_FOLDER"], ignore_errors=True)
prepare()
# Prefect configures the root logger when it is first imported; later, it would remove the handler of a test's caplog.
importlib.import_module("prefect.main")

# A shell lets what it starts in the background ignore Ctrl-C, and a process hands that on to those that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine that is busy is no error of the code.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

# Tests are small: one thread each is as fast, and does not slow down whatever runs beside them.
torch.set_num_threads(1)
