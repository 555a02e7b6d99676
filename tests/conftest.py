"""What every test shares."""

import torch
from hypothesis import settings

# A machine that is busy is no error of the code.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

# Tests are small: one thread each is as fast, and does not slow down whatever runs beside them.
torch.set_num_threads(1)
