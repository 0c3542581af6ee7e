"""Feeds one target with whatever reaches more of its code.

python -m fuzzing.parsers NAME FOLDER ...

What it feeds is kept in the folder; the arguments after it go to libFuzzer, which ends the process
without letting Python tidy up. Needs atheris, so it runs in an environment of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["chuk"]):
    from chuk import logs
    from fuzzing.targets import TARGETS


def main() -> None:
    """Feed the target until libFuzzer's own limits end it; a find ends it with another code."""
    # What is passed over is warned of, and nearly everything is.
    logs.configure(level="error", json=True)
    program, name, folder, *options = sys.argv
    target, seeds = TARGETS[name]
    for number, seed in enumerate(seeds):
        (Path(folder) / f"seed-{number}").write_bytes(seed)
    atheris.Setup([program, *options, folder], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
