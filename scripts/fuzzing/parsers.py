"""Feeds one target with whatever reaches more of its code: `python -m fuzzing.parsers NAME`.

Arguments after the name go to libFuzzer. Needs atheris, so it runs in an environment of its own.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["chuk"]):
    from chuk import logs
    from fuzzing.targets import TARGETS


def main() -> None:
    """Feed the target until libFuzzer's own limits end it; a find ends it with another code."""
    # What is passed over is warned of, and nearly everything is.
    logs.configure(level="error", json=True)
    target, seeds = TARGETS[sys.argv[1]]
    with tempfile.TemporaryDirectory(prefix="chuk-fuzz-") as folder:
        for number, seed in enumerate(seeds):
            (Path(folder) / f"seed-{number}").write_bytes(seed)
        atheris.Setup([sys.argv[0], *sys.argv[2:], folder], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
