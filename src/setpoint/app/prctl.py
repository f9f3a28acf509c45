"""prctl(2): what Linux lets a process say about itself. Elsewhere these calls do nothing."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Orphaned descendants become children of this process, not of process 1."""
    _call(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """A writer that outlives its supervisor would meet its successor's writer. Everything here survives kill -9, so that is how it goes."""
    _call(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def hide_memory() -> None:
    """No core dump and no debugger of another process of the same user: this process holds keys."""
    _call(_PR_SET_DUMPABLE, 0)


def take_name(name: str) -> None:
    """The name that ps and top show, cut to 15 bytes."""
    _call(_PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]))


def _call(option: int, value: object) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
