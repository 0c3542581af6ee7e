"""Files that are made to do harm, read by a real child within the memory and time it has."""

from __future__ import annotations

import io
import random
import socket
import struct
import threading
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chuk.adapters.children import ChildRefused
from tests.media.files.pictures import encoded
from tests.media.reading import KEPT, in_a_child

_LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
BOMB = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol">{_LAUGHS}]>'


def with_part(kept: str, part: str, content: str) -> bytes:
    """A kept document with one of its parts exchanged."""
    file = io.BytesIO()
    with zipfile.ZipFile(KEPT / kept) as old, zipfile.ZipFile(file, "w", 8) as new:
        for info in old.infolist():
            new.writestr(info.filename, content if info.filename == part else old.read(info))
    return file.getvalue()


def laughing_docx() -> bytes:
    """A document whose text would be a hundred billion words."""
    word = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    body = (
        f"<w:document {word}><w:body><w:p><w:r><w:t>&l11;</w:t></w:r></w:p></w:body></w:document>"
    )
    return with_part("report.docx", "word/document.xml", BOMB + body)


def laughing_xlsx() -> bytes:
    """A workbook with such a text in a cell."""
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    cell = '<c r="A1" t="inlineStr"><is><t>&l11;</t></is></c>'
    body = f'<worksheet {main}><sheetData><row r="1">{cell}</row></sheetData></worksheet>'
    return with_part("book.xlsx", "xl/worksheets/sheet1.xml", BOMB + body)


def swelling_docx() -> bytes:
    """A document whose text unpacks to half a gigabyte."""
    file = io.BytesIO(laughing_docx())
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with archive.open("word/document.xml", "w", force_zip64=True) as part:
            for _ in range(128):
                part.write(bytes(2**22))
    return file.getvalue()


def bomb_zip() -> bytes:
    """More than is ever unpacked, in half a megabyte."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("0.txt", "w", force_zip64=True) as member,
    ):
        for _ in range(128):
            member.write(b"a" * 2**20)
    return file.getvalue()


def crowded_zip() -> bytes:
    """A hundred thousand members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(100_000):
            archive.writestr(f"{number}.t", b"")
    return file.getvalue()


def huge_png() -> bytes:
    """Fifty thousand pixels by as many, or so it says; the sum of its head is right."""
    small = encoded(Image.new("1", (1, 1)), "PNG")
    head = b"IHDR" + struct.pack(">II", 50_000, 50_000) + small[24:29]
    return small[:12] + head + struct.pack(">I", zlib.crc32(head)) + small[33:]


def noise(name: str) -> Callable[[], bytes]:
    """Ten megabytes of nothing that begin as this format does."""
    heads = {"pdf": b"%PDF-1.7\n", "docx": b"PK\3\4", "png": b"\x89PNG\r\n\x1a\n", "xls": b""}

    def make() -> bytes:
        return heads[name] + random.Random(name).randbytes(10_000_000 - 16)

    return make


def countless_pdf() -> bytes:
    """A PDF of a million objects, of which its page needs four."""
    file = io.BytesIO()
    file.write((KEPT / "columns.pdf").read_bytes())
    for number in range(100, 600_000):
        file.write(b"%d 0 obj 1 endobj\n" % number)
    return file.getvalue()[:9_990_000]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("laughs.docx", laughing_docx),
        ("laughs.xlsx", laughing_xlsx),
        ("swelling.docx", swelling_docx),
        ("laughs.xml", (BOMB + "<x>&l11;</x>").encode),
        ("laughs.svg", (BOMB + "<svg>&l11;</svg>").encode),
        ("bomb.zip", bomb_zip),
        ("crowded.zip", crowded_zip),
        ("huge.png", huge_png),
        ("noise.pdf", noise("pdf")),
        ("noise.docx", noise("docx")),
        ("noise.png", noise("png")),
        ("noise.xls", noise("xls")),
        ("locked.docx", (KEPT / "locked.docx").read_bytes),
        ("locked.pdf", (KEPT / "locked.pdf").read_bytes),
    ],
)
async def test_a_hostile_file_is_refused_as_damaged(
    tmp_path: Path, name: str, make: Callable[[], bytes]
) -> None:
    path, folder = tmp_path / name, tmp_path / "kept"
    folder.mkdir()
    path.write_bytes(make())
    with pytest.raises(ChildRefused) as refused:
        await in_a_child(path, folder)
    assert refused.value.code == "CORRUPT_FILE"
    assert list(folder.iterdir()) == []


async def test_a_pdf_of_countless_objects_is_read(tmp_path: Path) -> None:
    path = tmp_path / "countless.pdf"
    path.write_bytes(countless_pdf())
    answer = await in_a_child(path, tmp_path)
    assert "Two columns" in answer["parts"][0]["text"]


@pytest.fixture
def tempting_address() -> Iterator[tuple[str, list[bytes]]]:
    """A server that remembers who came."""
    visits: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    visitor, _ = server.accept()
                except OSError:
                    return
                visits.append(visitor.recv(100))
                visitor.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x", visits
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


async def test_nothing_that_a_document_names_is_fetched(
    tmp_path: Path, tempting_address: tuple[str, list[bytes]]
) -> None:
    address, visits = tempting_address
    for name, content in {
        "page.html": f"<p>Words</p><img src='{address}'><link rel=stylesheet href='{address}'>"
        f"<script src='{address}'></script><iframe src='{address}'></iframe>",
        "a.xml": f'<!DOCTYPE x SYSTEM "{address}"><x>Words</x>',
        "a.svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{address}"/>Words</svg>',
        "a.md": f"Words ![]({address})",
        "a.eml": f"From: a\nSubject: Words\nContent-Type: text/html\n\n<img src='{address}'>Words",
        "a.pdf": _calling_pdf(address),
    }.items():
        path = tmp_path / name
        path.write_text(content)
        answer: dict[str, Any] = await in_a_child(path, tmp_path)
        assert "Words" in answer["parts"][0]["text"]
    assert visits == []


def _calling_pdf(address: str) -> str:
    """A page of one word that runs a script and opens an address as soon as it is opened."""
    words = "BT /F 24 Tf 60 700 Td (Words that are long enough to be text) Tj ET"
    font = "/Resources << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R /OpenAction 5 0 R /AA << /WC 6 0 R >> >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R {font} >>",
        f"<< /Length {len(words)} >>\nstream\n{words}\nendstream",
        f"<< /S /JavaScript /JS (app.launchURL\\('{address}'\\);) >>",
        f"<< /S /URI /URI ({address}) >>",
    ]
    text, places = "%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(text))
        text += f"{number} 0 obj\n{content}\nendobj\n"
    lines = "".join(f"{place:010} 00000 n \n" for place in places)
    return (
        f"{text}xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{lines}"
        f"trailer << /Root 1 0 R /Size {len(objects) + 1} >>\nstartxref\n{len(text)}\n%%EOF"
    )
