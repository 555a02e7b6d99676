"""Settings that a process can only have from its start: how its threads wait, and large memory pages.

``make run`` starts its stages with them. A stage that is started in any other way (``dvc repro``, ``dvc exp run``,
``python -m flows.pretrain``) restarts itself once, before it imports anything large. A variable that the user has set,
even to nothing, keeps its value.
"""

import os
import sys
from collections.abc import Collection

START_SETTINGS = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "5000",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""The environment variables of a process that computes.

Threads that spin while they wait can stall a training on a busy machine; threads that sleep at once halve its speed on
an idle one. With these values they spin for about as long as a short operation takes, then sleep. Large pages make a
training about 5 % faster; the C library reads that setting only when a process starts.
"""

RESTARTED = "LMCORE_RESTARTED"


def restart_with_settings(commands: Collection[str]) -> None:
    """Replace this process by the same command with the start settings, if it runs one of the modules and lacks any.

    Process id, standard streams and working directory stay the same.

    Args:
        commands: the modules, as named in ``python -m MODULE``. Call this while Python is importing the package of the
            module, before the module itself.
    """
    if os.environ.pop(RESTARTED, None) is not None or _module_to_run() not in commands:
        return
    if missing := {name: value for name, value in START_SETTINGS.items() if name not in os.environ}:
        sys.stdout.flush()
        sys.stderr.flush()
        arguments = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, arguments, {**os.environ, **missing, RESTARTED: "1"})


def _module_to_run() -> str | None:
    """The module of ``python -m MODULE`` while Python is still locating it."""
    if sys.argv[:1] != ["-m"] or "-m" not in sys.orig_argv[1:-1]:
        return None
    return sys.orig_argv[sys.orig_argv.index("-m", 1) + 1]
