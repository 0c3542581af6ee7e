"""`scripts/document`: write the generated parts, or say whether they are current."""

from __future__ import annotations

import argparse
import sys

from scripts.documents.parts import FOLDER, documents


def main() -> int:
    """Exit code 1: `--check`, and something is not current."""
    parser = argparse.ArgumentParser(description="Write the generated parts of docs/.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if stale")
    options = parser.parse_args()
    stale = {name: text for name, text in documents() if (FOLDER / name).read_text("utf-8") != text}
    for name, text in stale.items():
        print(f"docs/{name} {'is not current' if options.check else 'is written anew'}")
        if not options.check:
            (FOLDER / name).write_text(text, "utf-8")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
