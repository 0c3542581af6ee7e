"""Pictures and recordings become Markdown too, alone and inside of other files."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import zipfile
from pathlib import Path
from uuid import uuid4

import pytest
from PIL import Image, ImageDraw, ImageFont

from tests.api.file_client import children, code_of, convert
from tests.credits.people import receipts_of
from tests.harness import RunningServer, eventually
from tests.media.recordings import WORDS, silence, spoken_as

pytestmark = pytest.mark.usefixtures("temporary_folder")


def written(*lines: str) -> bytes:
    """A picture of these lines."""
    picture = Image.new("RGB", (900, 100 * len(lines) + 40), "white")
    for number, line in enumerate(lines):
        place = (40, 20 + 100 * number)
        ImageDraw.Draw(picture).text(place, line, "black", ImageFont.load_default(56))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def packed(**members: bytes) -> bytes:
    """A zip of these; the names get back the dot before their endings."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return file.getvalue()


async def test_letters_in_a_picture_are_read(server: RunningServer) -> None:
    status, body = await convert(server, written("The zebra sleeps", "in the kitchen"), "a.png")
    assert (status, body["format"]) == (200, "png")
    text = body["markdown"]
    assert 0 <= text.find("zebra") < text.find("kitchen")


async def test_a_picture_without_letters_says_so(server: RunningServer) -> None:
    status, body = await convert(server, written(""), "a.png")
    assert (status, code_of(body)) == (400, "CORRUPT_FILE")
    assert "text" in body["detail"]


async def test_a_recording_is_written_down_and_paid_for_as_one(server: RunningServer) -> None:
    user = uuid4()
    status, body = await convert(server, spoken_as("m4a"), "memo", user=user)
    assert (status, body["format"]) == (200, "m4a")
    assert body["markdown"].startswith("# ")
    assert all(word in body["markdown"].lower() for word in WORDS)
    operations = {receipt["operation"] for receipt in await receipts_of(server, user)}
    assert operations == {"conversion", "transcription"}


async def test_silence_is_no_text(server: RunningServer) -> None:
    status, body = await convert(server, silence(2), "memo.wav")
    assert (status, code_of(body)) == (400, "CORRUPT_FILE")


async def test_what_is_packed_is_read_and_heard_in_its_place(server: RunningServer) -> None:
    content = packed(
        a_txt=b"First.", b_png=written("The zebra sleeps"), c_wav=spoken_as("wav"), d_wav=b"RIFF"
    )
    status, body = await convert(server, content, "all.zip")
    assert status == 200
    text = body["markdown"].lower()
    places = [text.find(word) for word in ("first.", "zebra", "fox")]
    assert -1 not in places and places == sorted(places)


async def test_a_reader_of_letters_that_is_killed_is_our_own_fault_and_comes_back(
    server: RunningServer, temporary_folder: Path
) -> None:
    reading = asyncio.create_task(convert(server, written(*["The zebra sleeps"] * 30), "a.png"))
    # The file's own process is gone by the time that the letters are read.
    await eventually(lambda: any(temporary_folder.glob("chuk-worker-*")), timeout=30)
    for process in children():
        os.kill(process, signal.SIGKILL)
    status, body = await reading
    assert (status, code_of(body)) == (500, "CONVERSION_FAILED")
    assert (await convert(server, written("The zebra sleeps"), "a.png"))[0] == 200
