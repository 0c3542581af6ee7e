"""Documents of Office, OpenDocument, RTF, EPUB and PDF, by the real libraries."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from chuk.errors import CorruptFile
from tests.media.files.pictures import encoded, picture_of
from tests.media.reading import KEPT, kept, markdown, reading

REPORT = """\
# Quarterly report

Sales were **very good** in the north.

## What we sold

- Apples
- Pears

## What comes next

1. Plant
2. Water

| Region | Sum |
| --- | --- |
| North \\| East | 1200 |

中文文本在这里。"""


def in_order(text: str, *pieces: str) -> bool:
    """Whether these stand in the text one after the other."""
    places = [text.find(piece) for piece in pieces]
    return -1 not in places and places == sorted(places)


@pytest.mark.parametrize("ending", ["docx", "doc", "odt"])
def test_a_report_keeps_its_headings_lists_and_table(ending: str) -> None:
    assert kept(f"report.{ending}") == REPORT


def test_rich_text_keeps_its_words_lists_and_table() -> None:
    text = kept("report.rtf")
    assert in_order(
        text,
        "**Quarterly report**",
        "**very good**",
        "- Apples",
        "1. Plant",
        "North \\| East",
        "中文",
    )


@pytest.mark.parametrize("ending", ["pptx", "ppt", "odp"])
def test_slides_come_in_order_with_their_notes(ending: str) -> None:
    text = kept(f"deck.{ending}")
    assert in_order(
        text,
        "## Opening words",
        "> Remember to smile.",
        "## Middle part",
        "- First point",
        "## Closing numbers",
        "Oslo",
    )
    assert "number>" not in text


@pytest.mark.parametrize("ending", ["pptx", "odp"])
def test_a_table_on_a_slide_stays_one(ending: str) -> None:
    assert "| City | People |\n| --- | --- |\n| Oslo | 700 |" in kept(f"deck.{ending}")


@pytest.mark.parametrize("ending", ["xlsx", "xls", "ods"])
def test_a_sheet_is_a_table_with_plain_numbers_and_dates(ending: str) -> None:
    text = kept(f"book.{ending}")
    assert in_order(
        text,
        "## Orders",
        "| Item | Count | Day | Share |",
        "| Apples | 1200 | 2026-01-15 | 0.25 |",
        "| Pears |  | 2026-02-01 13:30:00 | 1.5 |",
        "## People",
    )
    assert "NaN" not in text


@pytest.mark.parametrize("ending", ["xlsx", "xls"])
def test_hidden_sheets_are_left_out_and_it_is_said(ending: str) -> None:
    text = kept(f"book.{ending}")
    assert "*Hidden sheets were left out: Secret.*" in text
    assert "not shown" not in text


def test_a_book_comes_chapter_by_chapter_as_it_is_read() -> None:
    assert in_order(kept("book.epub"), "# First chapter", "# Second chapter")


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("report.docx", "Quarterly report"),
        ("report.odt", "Quarterly report"),
        ("book.epub", "A small book"),
        ("report.doc", None),
    ],
)
def test_a_title_is_the_documents_own(name: str, title: str | None) -> None:
    assert reading((KEPT / name).read_bytes(), name)["title"] == title


def test_two_columns_are_read_one_after_the_other() -> None:
    lines = [f"The {side} column says line {n}." for side in ("left", "right") for n in (1, 9, 20)]
    assert in_order(kept("columns.pdf"), "# Two columns", *lines)


def test_a_hundred_pages_keep_every_heading_and_last_row() -> None:
    answer = reading((KEPT / "long.pdf").read_bytes(), "long.pdf")
    text = "\n\n".join(part["text"] for part in answer["parts"])
    assert answer["pages"] == 100
    assert not answer["truncated"]
    assert in_order(
        text,
        *(piece for n in range(1, 101) for piece in (f"# Chapter {n}\n", f"Last row of page {n}")),
    )


@pytest.mark.parametrize("name", ["locked.docx", "locked.pdf"])
def test_a_document_behind_a_password_is_refused_for_it(name: str) -> None:
    with pytest.raises(CorruptFile) as refused:
        kept(name)
    assert "password" in refused.value.message


def locked_odt() -> bytes:
    """The report with its text said to be encrypted."""
    file = io.BytesIO()
    with zipfile.ZipFile(KEPT / "report.odt") as old, zipfile.ZipFile(file, "w") as new:
        for info in old.infolist():
            part = old.read(info)
            if info.filename == "META-INF/manifest.xml":
                part = part.replace(
                    b'"content.xml" manifest:media-type="text/xml"/>',
                    b'"content.xml" manifest:media-type="text/xml"><manifest:encryption-data/>'
                    b"</manifest:file-entry>",
                )
            new.writestr(info, bytes(999) if info.filename == "content.xml" else part)
    return file.getvalue()


def locked_doc() -> bytes:
    """The report with the bit set that says that it is encrypted."""
    document = bytearray((KEPT / "report.doc").read_bytes())
    document[document.find(b"\xec\xa5") + 11] |= 1
    return bytes(document)


def locked_xls() -> bytes:
    """The workbook with its second record made the one that says how it is encrypted."""
    workbook = bytearray((KEPT / "book.xls").read_bytes())
    workbook[workbook.find(bytes.fromhex("090810000006")) + 20] = 0x2F
    workbook[workbook.find(bytes.fromhex("090810000006")) + 21] = 0
    return bytes(workbook)


@pytest.mark.parametrize(
    ("name", "make"), [("a.odt", locked_odt), ("a.doc", locked_doc), ("a.xls", locked_xls)]
)
def test_documents_that_are_not_in_a_safe_of_their_own_are_refused_for_it_too(
    name: str, make: Callable[[], bytes]
) -> None:
    with pytest.raises(CorruptFile) as refused:
        markdown(make(), name)
    assert "password" in refused.value.message


@pytest.mark.parametrize("path", sorted(KEPT.iterdir()), ids=lambda path: path.name)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_document_cut_short_is_damaged_or_read_as_far_as_it_goes(
    path: Path, share: float
) -> None:
    name, whole = path.name, path.read_bytes()
    try:
        answer = reading(whole[: int(len(whole) * share)], name)
    except CorruptFile:
        return
    assert answer["parts"]


def test_a_pdf_may_begin_after_some_bytes_of_something_else() -> None:
    assert "Two columns" in markdown(
        b"\n\njunk\n" + (KEPT / "columns.pdf").read_bytes(), "columns.pdf"
    )


def test_a_pdf_after_some_lines_of_text_is_still_one() -> None:
    lines = b"Content-Type: application/pdf\n\n"
    assert markdown(lines + pdf_of([page_of("Upright words")]), "mail.pdf") == "Upright words"


def page_of(line: str) -> str:
    """What draws a line of text on a page."""
    return f"BT /F 12 Tf 72 700 Td ({line}) Tj ET"


def pdf_of(pages: list[str]) -> bytes:
    """A PDF of pages that are drawn so, without a table of where its objects are."""
    kids = " ".join(f"{10 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj",
        (
            f"2 0 obj<</Type/Pages/Kids[{kids}]/Count {len(pages)}/MediaBox[0 0 595 842]"
            "/Resources<</Font<</F 3 0 R>>>>>>endobj"
        ),
        "3 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj",
    ]
    for number, drawn in enumerate(pages):
        objects.append(
            f"{10 + 2 * number} 0 obj<</Type/Page/Parent 2 0 R/Contents {11 + 2 * number} 0 R"
            f">>endobj\n{11 + 2 * number} 0 obj<</Length {len(drawn)}>>stream\n{drawn}\n"
            "endstream endobj"
        )
    body = "\n".join(objects)
    return f"%PDF-1.4\n{body}\ntrailer<</Root 1 0 R>>\n%%EOF".encode()


def test_lines_set_sideways_are_not_lost() -> None:
    upright = page_of("Upright title")
    table = "".join(
        f"BT /F 12 Tf 0 1 -1 0 {300 + 20 * row} 100 Tm (Sideways row {row} with its words) Tj ET\n"
        for row in range(4)
    )
    text = markdown(pdf_of([f"{upright}\n{table}", table]), "thesis.pdf")
    assert in_order(text, "Upright title", *(f"Sideways row {row} with" for row in range(4)))
    assert text.count("Sideways row 3 with its words") == 2


def test_a_book_of_more_than_a_thousand_pages_is_read_to_its_end() -> None:
    answer = reading(pdf_of([page_of(f"Page {n} of the book") for n in range(1_100)]), "book.pdf")
    assert (answer["pages"], answer["truncated"]) == (1_100, False)
    assert "Page 1099 of the book" in answer["parts"][-1]["text"]


@pytest.mark.parametrize(
    "name", ["noise.pdf", "noise.docx", "noise.xls", "noise.epub", "noise.zip"]
)
def test_noise_is_damaged_whatever_its_name(name: str) -> None:
    noise = bytes((n * n * 31 + n // 7) % 256 for n in range(20_000))
    with pytest.raises(CorruptFile):
        markdown(b"\x8f\x01" + noise, name)


def test_a_document_of_pictures_alone_is_read_from_them() -> None:
    document = io.BytesIO()
    kinds = '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    relations = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    )
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    with zipfile.ZipFile(document, "w") as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'<?xml version="1.0"?>{kinds}<Default Extension="png" ContentType="image/png"/>'
            '<Default Extension="rels" ContentType='
            '"application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-'
            'officedocument.wordprocessingml.document.main+xml"/></Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'{relations}<Relationship Id="r1" Type="{office}/officeDocument" '
            'Target="word/document.xml"/></Relationships>',
        )
        archive.writestr(
            "word/_rels/document.xml.rels",
            f'{relations}<Relationship Id="r2" Type="{office}/image" Target="media/a.png"/>'
            "</Relationships>",
        )
        archive.writestr(
            "word/document.xml",
            '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
            'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
            'xmlns:p="http://schemas.openxmlformats.org/drawingml/2006/picture" '
            'xmlns:d="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
            f'xmlns:r="{office}"><w:body><w:p><w:r><w:drawing><d:inline><a:graphic><a:graphicData>'
            '<p:pic><p:blipFill><a:blip r:embed="r2"/></p:blipFill></p:pic></a:graphicData>'
            "</a:graphic></d:inline></w:drawing></w:r></w:p></w:body></w:document>",
        )
        archive.writestr("word/media/a.png", encoded(picture_of("A scanned letter"), "PNG"))
    assert [list(part) for part in reading(document.getvalue(), "scan.docx")["parts"]] == [
        ["picture"]
    ]
