"""Names of streams, which are names of their holds too."""

from __future__ import annotations

import time
from random import getrandbits


def new_stream_id() -> str:
    """32 hex digits: milliseconds, then 80 random bits.

    By time, so that the books' indexes grow at one end; random ids made each commit dirty a page
    of its own for every entry. They tell turns apart and guard nothing: the kernel, which takes
    longer than all the rest of a turn's making, need not be asked.
    """
    return f"{time.time_ns() // 1_000_000:012x}{getrandbits(80):020x}"
