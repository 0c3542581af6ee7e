"""What a trial found: lines while it runs, a table, and one verdict at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Verdict:
    """Collects what must hold, and says at the end whether all of it did."""

    name: str
    failures: list[str] = field(default_factory=list)

    def expect(self, holds: bool, what: str) -> None:
        """Print one line for something that must hold."""
        print(f"{'ok  ' if holds else 'BAD '} {what}", flush=True)
        if not holds:
            self.failures.append(what)

    def code(self) -> int:
        """Print the verdict; returns the exit code."""
        if self.failures:
            print(f"== {self.name}: FAILED ({len(self.failures)} of what must hold does not)")
            return 1
        print(f"== {self.name}: passed")
        return 0


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows under their heads, each column as wide as it has to be; figures to the right."""
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [
        max(len(row[column]) for row in [list(heads), *texts]) for column in range(len(heads))
    ]
    right = [
        bool(rows) and isinstance(rows[0][column], int | float) for column in range(len(heads))
    ]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(cells, widths, right, strict=True)
        ).rstrip()

    return "\n".join(
        [line(list(heads)), line(["-" * width for width in widths]), *map(line, texts)]
    )


def _text(cell: object) -> str:
    return f"{cell:,.1f}" if isinstance(cell, float) else str(cell)
