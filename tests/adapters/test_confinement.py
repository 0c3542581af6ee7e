"""What a child process takes from itself."""

from __future__ import annotations

import os
import subprocess
import sys

_AT_A_TERMINAL = """
import os, sys
from chuk.adapters.confinement import leave_terminal

os.login_tty(int(sys.argv[1]))
os.close(os.open("/dev/tty", os.O_RDWR))
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
leave_terminal()
if os.getpgrp() != os.getpid() or os.getsid(0) != os.getppid():
    os._exit(1)
try:
    os.open("/dev/tty", os.O_RDWR)
except OSError:
    os._exit(0)
os._exit(2)
"""


def test_a_process_that_leaves_the_terminal_cannot_open_it_again_and_is_still_in_the_session() -> (
    None
):
    here, there = os.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", _AT_A_TERMINAL, str(there)], pass_fds=[there], check=False
        )
    finally:
        os.close(here)
        os.close(there)
    assert done.returncode == 0
