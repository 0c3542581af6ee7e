# ruff: noqa: DTZ001, PLC0415 - Excel knows no time zones; each kind of file needs its own library
"""Makes the small documents of `kept/`, which the tests read.

They are kept because making them needs what the tests shall not need: python-docx, python-pptx,
openpyxl, olefile, msoffcrypto-tool, reportlab, pillow-heif and, for the older formats, LibreOffice
(`soffice` on the path). Run it as `python -m tests.media.files.make` in an environment that has
those, after a change here only.

report.docx is written here and report.doc, .odt and .rtf are LibreOffice's conversions of it; so
are deck.ppt and .odp of deck.pptx, and book.xls and .ods of book.xlsx. locked.docx is report.docx
encrypted with a password. letter.msg is written stream by stream with `compound.py`, and book.epub
part by part. columns.pdf and long.pdf are reportlab's; locked.pdf has a password. LibreOffice's
preview is taken out of deck.ppt, which it made twenty times as large.
"""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
KEPT = HERE / "kept"


def report() -> None:
    """Headings, bold, both kinds of list, a table with a pipe in it, Chinese, a foreign link."""
    import docx

    document = docx.Document()
    document.core_properties.title = "Quarterly report"
    document.add_heading("Quarterly report", 1)
    paragraph = document.add_paragraph("Sales were ")
    paragraph.add_run("very good").bold = True
    paragraph.add_run(" in the north.")
    document.add_heading("What we sold", 2)
    for item in ("Apples", "Pears"):
        document.add_paragraph(item, style="List Bullet")
    document.add_heading("What comes next", 2)
    for item in ("Plant", "Water"):
        document.add_paragraph(item, style="List Number")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(
        (cell for row in table.rows for cell in row.cells),
        ("Region", "Sum", "North | East", "1200"),
        strict=True,
    ):
        cell.text = text
    document.add_paragraph("中文文本在这里。")
    document.save(str(KEPT / "report.docx"))


def deck() -> None:
    """Three slides: a title with notes, a list, a table."""
    import pptx
    from pptx.util import Inches

    presentation = pptx.Presentation()
    first = presentation.slides.add_slide(presentation.slide_layouts[0])
    first.shapes.title.text = "Opening words"
    first.placeholders[1].text = "A subtitle"
    first.notes_slide.notes_text_frame.text = "Remember to smile."
    second = presentation.slides.add_slide(presentation.slide_layouts[1])
    second.shapes.title.text = "Middle part"
    second.placeholders[1].text = "First point\nSecond point"
    third = presentation.slides.add_slide(presentation.slide_layouts[5])
    third.shapes.title.text = "Closing numbers"
    table = third.shapes.add_table(2, 2, Inches(1), Inches(2), Inches(6), Inches(1)).table
    for at, text in enumerate(("City", "People", "Oslo", "700")):
        table.cell(at // 2, at % 2).text = text
    presentation.save(str(KEPT / "deck.pptx"))


def book() -> None:
    """Two sheets and a hidden one; whole numbers, an empty cell, dates, a formula."""
    import openpyxl

    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet.title = "Orders"
    for row in (
        ("Item", "Count", "Day", "Share"),
        ("Apples", 1200, dt.date(2026, 1, 15), 0.25),
        ("Pears", None, dt.datetime(2026, 2, 1, 13, 30, tzinfo=None), 1.5),
    ):
        sheet.append(row)
    workbook.create_sheet("People").append(("Ann", True))
    hidden = workbook.create_sheet("Secret")
    hidden.append(("not shown",))
    hidden.sheet_state = "hidden"
    workbook.save(KEPT / "book.xlsx")


def older(source: str, *formats: str) -> None:
    """LibreOffice's conversions of a kept document."""
    soffice = shutil.which("soffice") or sys.exit("needs LibreOffice")
    with tempfile.TemporaryDirectory() as profile:
        for wanted in formats:
            subprocess.run(
                [
                    soffice,
                    f"-env:UserInstallation={Path(profile).as_uri()}",
                    "--headless",
                    "--convert-to",
                    wanted,
                    "--outdir",
                    str(KEPT),
                    str(KEPT / source),
                ],
                check=True,
                timeout=120,
            )


def without_preview(name: str) -> None:
    """Take out the stream in which LibreOffice puts half a megabyte of a picture of slide one."""
    import olefile

    from tests.media.files.compound import write_compound

    with olefile.OleFileIO(KEPT / name) as old:
        streams = {
            "/".join(path): old.openstream(path).read()
            for path in old.listdir()
            if path != ["\5SummaryInformation"]
        }
    (KEPT / name).write_bytes(write_compound(streams))


def locked() -> None:
    """The report behind a password, as Office does it."""
    import msoffcrypto.format.ooxml

    with (KEPT / "report.docx").open("rb") as plain, (KEPT / "locked.docx").open("wb") as out:
        msoffcrypto.format.ooxml.OOXMLFile(plain).encrypt("made-up", out)


def pdfs() -> None:
    """Two columns; a hundred pages; scripts and foreign links; a password."""
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfgen import canvas

    page = canvas.Canvas(str(KEPT / "columns.pdf"), pagesize=A4)
    page.setTitle("Two columns")
    page.setFont("Helvetica-Bold", 20)
    page.drawString(60, 780, "Two columns")
    page.setFont("Helvetica", 11)
    for column, left in (("left", 60), ("right", 320)):
        for line in range(1, 21):
            page.drawString(left, 740 - 16 * line, f"The {column} column says line {line}.")
    page.save()

    long = canvas.Canvas(str(KEPT / "long.pdf"), pagesize=A4)
    for number in range(1, 101):
        long.setFont("Helvetica-Bold", 22)
        long.drawString(60, 780, f"Chapter {number}")
        long.setFont("Helvetica", 11)
        for line in range(1, 31):
            long.drawString(60, 740 - 16 * line, f"Sentence {line} of chapter {number}.")
        long.drawString(60, 60, f"Last row of page {number}")
        long.showPage()
    long.save()

    secret = canvas.Canvas(str(KEPT / "locked.pdf"), pagesize=A4, encrypt="made-up")
    secret.drawString(60, 780, "Nobody reads this")
    secret.save()


def epub() -> None:
    """Two chapters whose order in the archive is not the order of reading."""
    with zipfile.ZipFile(KEPT / "book.epub", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr(
            "META-INF/container.xml",
            '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
            '<rootfiles><rootfile full-path="book.opf" media-type="application/oebps-package+xml"/>'
            "</rootfiles></container>",
        )
        for name, title in (("a", "Second chapter"), ("z", "First chapter")):
            archive.writestr(
                f"{name}.xhtml",
                f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>{title}</title></head>'
                f"<body><h1>{title}</h1><p>Words of the {title.lower()}.</p></body></html>",
            )
        archive.writestr(
            "book.opf",
            '<package version="3.0" unique-identifier="i" xmlns="http://www.idpf.org/2007/opf">'
            '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>A small book'
            '</dc:title><dc:identifier id="i">x</dc:identifier><dc:language>en</dc:language>'
            '</metadata><manifest><item id="one" href="z.xhtml" '
            'media-type="application/xhtml+xml"/><item id="two" href="a.xhtml" '
            'media-type="application/xhtml+xml"/></manifest><spine><itemref idref="one"/>'
            '<itemref idref="two"/></spine></package>',
        )


def letter() -> None:
    """A message of Outlook: subject, sender, recipient, body and a text attached."""
    from tests.media.files.compound import write_compound

    def folder(
        name: str, head: bytes, numbers: dict[int, int], values: dict[int, str | bytes]
    ) -> dict[str, bytes]:
        """A storage: the list of its properties, and a stream for each that is long."""
        streams, lines = {}, []
        for tag, number in numbers.items():
            lines.append(tag.to_bytes(4, "little") + b"\6\0\0\0" + number.to_bytes(8, "little"))
        for tag, value in values.items():
            kind = 0x0102 if isinstance(value, bytes) else 0x001F
            data = value if isinstance(value, bytes) else value.encode("utf-16-le")
            size = len(data) + (0 if isinstance(value, bytes) else 2)
            lines.append(
                (tag << 16 | kind).to_bytes(4, "little") + b"\6\0\0\0" + size.to_bytes(8, "little")
            )
            streams[f"{name}__substg1.0_{tag:04X}{kind:04X}"] = data
        return {f"{name}__properties_version1.0": head + b"".join(lines), **streams}

    counts = b"".join(number.to_bytes(4, "little") for number in (1, 1, 1, 1))
    streams = {
        **folder(
            "",
            bytes(8) + counts + bytes(8),
            {0x340D0003: 0x40000, 0x00390040: 133_500_000_000_000_000},
            {
                0x001A: "IPM.Note",
                0x0037: "Lunch on Friday — café",
                0x0C1A: "Ann Example",
                0x0C1F: "ann@example.org",
                0x1000: "Dear Bob,\r\nshall we eat at noon?\r\nAnn",
            },
        ),
        **folder(
            "__recip_version1.0_#00000000/",
            bytes(8),
            {0x0C150003: 1},
            {0x3001: "Bob Example", 0x3003: "bob@example.org", 0x39FE: "bob@example.org"},
        ),
        **folder(
            "__attach_version1.0_#00000000/",
            bytes(8),
            {0x37050003: 1},
            {
                0x3707: "menu.txt",
                0x370E: "text/plain",
                0x3701: "Attached words, naïve ones.".encode(),
            },
        ),
    }
    for number in (2, 3, 4):
        streams[f"__nameid_version1.0/__substg1.0_000{number}0102"] = b""
    (KEPT / "letter.msg").write_bytes(write_compound(streams))


def photo() -> None:
    """A picture as phones make them, with a line to read."""
    import pillow_heif
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (640, 160), "white")
    font = ImageFont.load_default(48)
    ImageDraw.Draw(picture).text((20, 50), "Written on a phone", fill="black", font=font)
    pillow_heif.from_pillow(picture).save(KEPT / "photo.heic", quality=50)


def main() -> None:
    """All of them; or those that are named."""
    KEPT.mkdir(exist_ok=True)
    for make in (report, deck, book, locked, pdfs, epub, letter, photo):
        if len(sys.argv) == 1 or make.__name__ in sys.argv[1:]:
            make()
    if len(sys.argv) == 1 or "older" in sys.argv[1:]:
        older("report.docx", "doc", "odt", "rtf")
        older("deck.pptx", "ppt", "odp")
        without_preview("deck.ppt")
        older("book.xlsx", "xls", "ods")


if __name__ == "__main__":
    main()
