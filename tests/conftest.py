"""What every test shares."""

import atexit
import os
import shutil
import tempfile

import torch
from hypothesis import settings

# Nothing of the developer's own servers and settings reaches the tests, and nothing of theirs the work folder.
for name in [name for name in os.environ if name.startswith(("LMCORE_", "PREFECT_", "MLFLOW_", "DVC_"))]:
    del os.environ[name]
os.environ["LMCORE_WORK_FOLDER"] = tempfile.mkdtemp(prefix="lmcore-tests-")
atexit.register(shutil.rmtree, os.environ["LMCORE_WORK_FOLDER"], ignore_errors=True)

# A machine that is busy is no error of the code.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

# Tests are small: one thread each is as fast, and does not slow down whatever runs beside them.
torch.set_num_threads(1)
