"""What a process leaves in its folder of temporary files goes with it, or with the next one."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from chuk.scratch import own_folder

_HOLDER = """
import sys, tempfile
from pathlib import Path
from chuk.scratch import own_folder

with own_folder(Path(sys.argv[1])) as folder:
    tempfile.mkdtemp(prefix="chuk-file-")
    print(folder, flush=True)
    sys.stdin.read()
"""


def a_holder(data: Path) -> tuple[subprocess.Popen[str], Path]:
    """Another process that has a folder with something in it."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert holder.stdout is not None
    return holder, Path(holder.stdout.readline().strip())


def end(holder: subprocess.Popen[str]) -> None:
    """Kill it, and read what is left of its pipes."""
    holder.send_signal(signal.SIGKILL)
    holder.communicate()


def test_everything_temporary_is_in_the_folder_and_goes_with_it(tmp_path: Path) -> None:
    before = tempfile.gettempdir()
    with own_folder(tmp_path / "data") as folder:
        assert folder.parent == tmp_path / "data" / "tmp"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        made = Path(tempfile.mkdtemp(prefix="chuk-file-"))
        assert made.parent == folder
        with tempfile.NamedTemporaryFile() as file:
            assert Path(file.name).parent == folder
    assert not folder.exists()
    assert tempfile.gettempdir() == before


def test_what_a_killed_process_left_is_swept_and_what_others_use_is_not(tmp_path: Path) -> None:
    killed, left = a_holder(tmp_path)
    alive, used = a_holder(tmp_path)
    try:
        end(killed)
        assert list(left.iterdir()) != []
        with own_folder(tmp_path) as folder:
            assert not left.exists()
            assert len(list(used.iterdir())) == 1
            assert {path for path in folder.parent.iterdir() if path.is_dir()} == {folder, used}
    finally:
        end(alive)
