"""Where a process keeps its temporary files: one folder of its own, gone with it at the latest when
the next process starts.

A killed process cleans nothing up, and what lies there was sent by people. So its folder is locked
for as long as it lives; a folder that nobody holds has lost its owner, and is removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chuk.logs import logger

_FOLDER = "tmp"
_LOCK = ".lock"


@contextmanager
def own_folder(data_dir: Path) -> Iterator[Path]:
    """Let `tempfile` make everything in a new folder until the end, when the folder goes.

    Sweeps what processes have left behind that were killed. Only for a process that does nothing
    else: the place holds for all of it.

    Raises:
        OSError: the data folder cannot be written.
    """
    place = (data_dir / _FOLDER).absolute()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Else a folder could be swept in the moment between its making and its locking.
    with _locked(place / _LOCK):
        left = [folder for folder in place.iterdir() if folder.is_dir() and _is_left(folder)]
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        own = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=place))
        descriptor = os.open(own, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    if left:
        logger("scratch").info("swept", folders=len(left))
    before, tempfile.tempdir = tempfile.tempdir, str(own)
    try:
        yield own
    finally:
        tempfile.tempdir = before
        shutil.rmtree(own, ignore_errors=True)
        os.close(descriptor)


@contextmanager
def nobody_serves(data_dir: Path) -> Iterator[bool]:
    """Whether no process has a folder here; as long as nobody has, none that comes goes on.

    Raises:
        OSError: the data folder cannot be written.
    """
    place = (data_dir / _FOLDER).absolute()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(place / _LOCK):
        yield all(_is_left(folder) for folder in place.iterdir() if folder.is_dir())


def somebody_serves(data_dir: Path) -> bool:
    """Whether a process has a folder here.

    Raises:
        OSError: the data folder cannot be written.
    """
    with nobody_serves(data_dir) as is_free:
        return not is_free


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_left(folder: Path) -> bool:
    """Whether its owner is gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        # It went by itself just now.
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
