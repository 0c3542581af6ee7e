"""How the threads of the books share a core with the event loop."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def interrupt_nobody() -> None:
    """Let this thread have its turns, but not cut in when it wakes: the event loop loses more.

    See SCHED_BATCH of sched(7). Only Linux has it; where it is not allowed, all goes on without.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
