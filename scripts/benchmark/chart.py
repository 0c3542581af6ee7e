"""The figures as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from benchmark.figures import Figure
from benchmark.report import number

_ORDER = ("bare", "chuk", "fastapi", "library")
_NAMES = {
    "bare": "bare byte relay",
    "chuk": "chuk",
    "fastapi": "FastAPI + httpx",
    "library": "the plain library call",
}
_COLOURS = {"bare": "#9aa5b1", "chuk": "#2f6fde", "fastapi": "#e0863b", "library": "#5b9279"}
_PANELS = (
    ("Burst: tokens a second, one core\n(more is better)", ("burst_tokens_per_second",), True),
    ("Burst: CPU ms for 1000 tokens", ("burst_cpu_ms_per_1000_tokens",), True),
    ("Paced: CPU µs for a token", ("paced_cpu_us_per_token",), False),
    ("Added delay of a token, ms", ("delay_p50_ms", "delay_p99_ms"), True),
    ("Added time to first token, ms", ("first_token_p50_ms", "first_token_p99_ms"), True),
    (
        "Memory held, KiB",
        ("memory_kib_per_open_stream", "memory_kib_per_idle_websocket"),
        False,
    ),
    (
        "A file made Markdown, ms",
        ("media_ms_docx", "media_ms_pdf_of_100_pages", "media_ms_mp3_of_a_few_words"),
        True,
    ),
    ("Peak memory of its process, MiB", ("media_mib_docx", "media_mib_pdf_of_100_pages"), False),
    (
        "Delay of a token beside conversions, p99 ms",
        ("media_delay_p99_ms_alone", "media_delay_p99_ms_beside"),
        False,
    ),
)
_SHORT = {
    "delay_p50_ms": "p50",
    "delay_p99_ms": "p99",
    "first_token_p50_ms": "p50",
    "first_token_p99_ms": "p99",
    "memory_kib_per_open_stream": "open stream",
    "memory_kib_per_idle_websocket": "idle WebSocket",
    "media_ms_docx": "docx",
    "media_ms_pdf_of_100_pages": "pdf, 100 pages",
    "media_ms_mp3_of_a_few_words": "mp3",
    "media_mib_docx": "docx",
    "media_mib_pdf_of_100_pages": "pdf, 100 pages",
    "media_delay_p99_ms_alone": "none",
    "media_delay_p99_ms_beside": "20 at once",
}


def draw(file: Path, figures: Sequence[Figure], machine: Mapping[str, str], gentle: str) -> None:
    """Write the chart as a PNG; panels without figures stay empty."""
    known = {figure.key: figure for figure in figures}
    sheet, grid = plt.subplots(3, 3, figsize=(13, 11.2))
    for axes, (title, keys, logarithmic) in zip(grid.flat, _PANELS, strict=True):
        _panel(axes, title, [known[key] for key in keys if key in known], logarithmic)
    handles = [Rectangle((0, 0), 1, 1, color=_COLOURS[name]) for name in _ORDER]
    sheet.legend(handles, [_NAMES[name] for name in _ORDER], loc="upper center", ncol=4)
    sheet.text(
        0.5,
        0.01,
        f"{_caption(machine)}\nFastAPI is paced at {gentle} only: above that it falls behind.",
        ha="center",
        fontsize=8,
        color="#444444",
    )
    sheet.tight_layout(rect=(0, 0.05, 1, 0.96))
    sheet.savefig(file, dpi=110)
    plt.close(sheet)


def _panel(axes: Axes, title: str, figures: Sequence[Figure], logarithmic: bool) -> None:
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", labelsize=8)
    if not figures:
        axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
        return
    width = 0.27
    for group, figure in enumerate(figures):
        # Files are compared with their library, streams with other relays: three at most.
        shown = [name for name in _ORDER if name in figure.values]
        for place, name in enumerate(shown, (3 - len(shown)) // 2):
            value = figure.values[name]
            bar = axes.bar(group + (place - 1) * width, value, width * 0.92, color=_COLOURS[name])
            axes.bar_label(bar, labels=[number(value)], fontsize=8, padding=2)
    axes.set_xticks(range(len(figures)), [_SHORT.get(figure.key, "") for figure in figures])
    if logarithmic:
        axes.set_yscale("log")
        axes.set_ylabel("logarithmic", fontsize=7, color="#888888")
    axes.margins(y=0.15)


def _caption(machine: Mapping[str, str]) -> str:
    facts = [machine["machine"], machine["memory"], machine["system"]]
    facts += [f"{name} {value}" for name, value in machine.items() if name not in _SHOWN_BARE]
    middle = len(facts) // 2
    return ", ".join(facts[:middle]) + "\n" + ", ".join(facts[middle:])


_SHOWN_BARE = ("machine", "memory", "system")
