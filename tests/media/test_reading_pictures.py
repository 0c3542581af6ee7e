"""Letters in pictures, with the real models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image

from chuk.adapters.file_reader import ChildFileReader
from chuk.errors import CorruptFile
from chuk.media.formats import detect_file
from tests.forks import run_once
from tests.media.files.pictures import encoded, picture_of, scanned_pdf, tiff_of, turned_jpeg
from tests.media.reading import KEPT, reading

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader() -> AsyncIterator[ChildFileReader]:
    """One for all, for its models are slow to load."""
    reader = ChildFileReader(timeout=110, run_once=run_once)
    yield reader
    await reader.close()


async def letters(reader: ChildFileReader, path: Path) -> str:
    """All that is read in a file."""
    found = detect_file(path, path.name)
    assert found is not None
    async with reader.read(path, kind=found, name=path.name) as document:
        return "\n\n".join(str(part) for part in document.parts)


def in_order(text: str, *lines: str) -> bool:
    """Whether the lines stand in the text one after the other."""
    places = [text.find(line) for line in lines]
    return -1 not in places and places == sorted(places)


@pytest.mark.parametrize(
    ("name", "kind", "mode"),
    [
        ("a.png", "PNG", "RGBA"),
        ("a.png", "PNG", "P"),
        ("a.gif", "GIF", "L"),
        ("a.bmp", "BMP", "RGB"),
        ("a.webp", "WEBP", "RGBA"),
        ("a.jpg", "JPEG", "CMYK"),
    ],
)
async def test_every_kind_of_picture_is_read(
    reader: ChildFileReader, tmp_path: Path, name: str, kind: str, mode: str
) -> None:
    drawn = "RGBA" if mode == "RGBA" else "RGB"
    image = picture_of("First line here", "Total 1234.56 EUR", mode=drawn).convert(mode)
    (tmp_path / name).write_bytes(encoded(image, kind))
    assert in_order(await letters(reader, tmp_path / name), "First line here", "Total 1234.56 EUR")


async def test_a_photograph_of_a_phone_is_read(reader: ChildFileReader) -> None:
    pytest.importorskip("pillow_heif")
    assert await letters(reader, KEPT / "photo.heic") == "Written on a phone"


async def test_a_photograph_is_turned_upright(reader: ChildFileReader, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(turned_jpeg(picture_of("The upper line", "The lower line")))
    assert in_order(await letters(reader, path), "The upper line", "The lower line")


async def test_every_page_of_a_tiff_is_read_in_order(
    reader: ChildFileReader, tmp_path: Path
) -> None:
    path = tmp_path / "fax.tiff"
    path.write_bytes(tiff_of([picture_of(f"This is sheet {n}") for n in (1, 2, 3)]))
    assert in_order(await letters(reader, path), *(f"This is sheet {n}" for n in (1, 2, 3)))


async def test_a_scanned_page_is_read_and_a_blank_one_is_not_waited_for(
    reader: ChildFileReader, tmp_path: Path
) -> None:
    path = tmp_path / "scan.pdf"
    blank = Image.new("RGB", (1000, 800), "white")
    path.write_bytes(scanned_pdf(picture_of("A scanned page"), blank, picture_of("The last one")))
    answer = reading(path.read_bytes(), path.name)
    assert [list(part) for part in answer["parts"]] == [["picture"], ["picture"]]
    assert answer["pages"] == 3
    assert in_order(await letters(reader, path), "A scanned page", "The last one")


async def test_columns_are_read_one_after_the_other(
    reader: ChildFileReader, tmp_path: Path
) -> None:
    path = tmp_path / "columns.png"
    sides = [
        picture_of(*(f"The {side} text row {n}" for n in range(1, 5)), width=700)
        for side in ("first", "second")
    ]
    page = Image.new("RGB", (1400, sides[0].height), "white")
    for number, side in enumerate(sides):
        page.paste(side, (700 * number, 0))
    path.write_bytes(encoded(page, "PNG"))
    rows = [f"The {side} text row {n}" for side in ("first", "second") for n in range(1, 5)]
    assert in_order(await letters(reader, path), *rows)


async def test_a_picture_without_letters_has_no_text(
    reader: ChildFileReader, tmp_path: Path
) -> None:
    path = tmp_path / "white.png"
    path.write_bytes(encoded(Image.new("RGB", (300, 300), "white"), "PNG"))
    assert await letters(reader, path) == ""


async def test_a_picture_that_ends_too_early_is_damaged() -> None:
    whole = encoded(picture_of("Some line"), "PNG")
    for end in (20, len(whole) // 2):
        with pytest.raises(CorruptFile):
            reading(whole[:end], "half.png")


async def test_a_long_picture_is_kept_in_pieces_that_cut_no_line() -> None:
    long = picture_of(*(f"Line {n}" for n in range(100)), width=900)
    parts = reading(encoded(long, "PNG"), "long.png")["parts"]
    assert len(parts) == 4


async def test_further_pages_than_can_be_read_are_left_out_and_it_is_said() -> None:
    answer = reading(tiff_of([picture_of("x")] * 4), "fax.tiff", pictures=2)
    assert [list(part) for part in answer["parts"]] == [["picture"], ["picture"], ["text"]]
    assert answer["truncated"]


@pytest.mark.parametrize("size", [(3000, 9), (9, 2400)])
async def test_a_picture_hardly_wider_than_a_line_has_no_text(
    reader: ChildFileReader, tmp_path: Path, size: tuple[int, int]
) -> None:
    path = tmp_path / "rule.png"
    path.write_bytes(encoded(Image.new("L", size, 200), "PNG"))
    assert not await letters(reader, path)


async def test_a_picture_too_small_for_a_letter_is_not_looked_at() -> None:
    for size in ((65_000, 1), (60_000, 6), (2, 2)):
        with pytest.raises(CorruptFile):
            reading(encoded(Image.new("L", size, 0), "PNG"), "rule.png")
