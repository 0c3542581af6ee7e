"""How the host is reached: a Unix socket in a folder of the server's own, with frames on it.

One connection is one job, or one who wants to know how the language model is. The first frame of
a connection says which; then the host writes the same frames that a child writes.

    CALL  →  {"worker": {module, memory, idle, cpu}, "request", "streams", "timeout"}
    CALL  →  {"model": {data_dir, model_path, context_length, threads}}
    HEARD ←  at once, so that a host that hangs is not waited for
    PIECE, ANSWER, REFUSED, FAILED  ←  see `chuk.adapters.child`
    LATE  ←  the job took longer than it may
    STATE ←  {}: it loads; {"url", "key"}; or {"problem", "retry_in"}. One for each change.

Whoever closes the connection gives the job up.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CALL, HEARD, LATE, STATE = b"C", b"H", b"L", b"S"

# What sockaddr_un holds, its final zero apart; 103 elsewhere.
_LONGEST_PATH = 107 if sys.platform == "linux" else 103


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A name for a socket's path that the kernel takes, however long the path is.

    Raises:
        OSError: its folder cannot be opened.
    """
    if len(os.fsencode(path)) <= _LONGEST_PATH or sys.platform != "linux":
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listening_at(path: Path) -> socket.socket:
    """A socket that listens at a path; the folder it is in says who may connect.

    Raises:
        OSError: there is such a file already, or the folder cannot be written.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_path(path) as name:
            listening.bind(name)
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening
