"""A file is what its content is; its name only helps between contents that look alike."""

from __future__ import annotations

import io
import json
import struct
import wave
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from chuk.media.formats import Format, detect, detect_file, ending_of, named_format

KEPT = Path(__file__).parent / "files" / "kept"
F = Format
# Whatever the name says, and whatever it does not say.
NAMES = ["", "file", "a.bin", "a.txt", "a.pdf", "a.docx", "a.mp3", "a.jpg", "a.csv", "ä.zip"]


def picture(kind: str) -> bytes:
    """A small picture."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(file, kind)
    return file.getvalue()


def sound() -> bytes:
    """A tenth of a second of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(bytes(3_200))
    return file.getvalue()


def archive(**members: bytes) -> bytes:
    """A zip with these members; `__` in a name stands for a slash, `_dot_` for a dot."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as writer:
        for name, content in members.items():
            writer.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return file.getvalue()


def boxed(brand: bytes) -> bytes:
    """The beginning of an MPEG-4 or HEIF file."""
    return b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0" + brand + b"mp41" + bytes(64)


MP3_FRAME = b"\xff\xfb\x90\x64" + bytes(413)
AAC_FRAME = b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(9)

CONTENTS = {
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", F.PDF),
    "pdf behind something": (b"\0\0garbage\n%PDF-1.4\n\0", F.PDF),
    "rtf": (b"{\\rtf1\\ansi Hello}", F.RTF),
    "jpg": (picture("JPEG"), F.JPG),
    "png": (picture("PNG"), F.PNG),
    "gif": (picture("GIF"), F.GIF),
    "bmp": (picture("BMP"), F.BMP),
    "webp": (picture("WEBP"), F.WEBP),
    "tiff": (picture("TIFF"), F.TIFF),
    "heic": (boxed(b"heic"), F.HEIC),
    "heif": (boxed(b"mif1"), F.HEIC),
    "m4a": (boxed(b"M4A "), F.M4A),
    "mp4": (boxed(b"isom"), F.M4A),
    "wav": (sound(), F.WAV),
    "mp3": (MP3_FRAME * 3, F.MP3),
    "mp3 with a tag": (b"ID3\x04\0\0\0\0\0\0" + MP3_FRAME, F.MP3),
    "aac": (AAC_FRAME * 3, F.AAC),
    "flac": (b"fLaC\0\0\0\x22" + bytes(34), F.FLAC),
    "ogg": (b"OggS\0\x02" + bytes(40), F.OGG),
    "webm": (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webmB\x87", F.WEBM),
    "zip": (archive(a_dot_txt=b"Hello"), F.ZIP),
    "word's parts elsewhere": (archive(mine__word__document_dot_xml=b"<x/>"), F.ZIP),
    "docx": (archive(word__document_dot_xml=b"<x/>"), F.DOCX),
    "epub without its mark": (archive(**{"META-INF__container_dot_xml": b"<x/>"}), F.EPUB),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_no_name_changes_what_a_content_is(kind: str) -> None:
    content, expected = CONTENTS[kind]
    assert {detect(content, name) for name in NAMES} == {expected}


@pytest.mark.parametrize(
    "file", sorted(KEPT.iterdir()), ids=lambda file: file.name.replace(".", " ")
)
def test_real_documents_are_known_without_their_names(file: Path) -> None:
    expected = Format(file.suffix[1:])
    assert detect_file(file, file.name) is expected
    if file.stem != "locked" or expected is F.PDF:
        assert detect_file(file, "") is expected
        assert detect_file(file, "recording.mp3") is expected


TEXTS = [
    (b"Hello, world.\n", "", F.TEXT),
    (b"Hello, world.\n", "photo.jpg", F.TEXT),
    (b"Hello, world.\n", "report.pdf", F.TEXT),
    (b"Hello, world.\n", "notes.md", F.TEXT),
    (b"print('hi')\n", "main.py", F.CODE),
    (b"all:\n\tmake\n", "Makefile", F.CODE),
    (b"a,b\n1,2\n", "book.csv", F.CSV),
    (b"a\tb\n1\t2\n", "book.TSV", F.CSV),
    (b'{"a": 1}', "", F.JSON),
    (b'[{"a": 1}]', "data.bin", F.JSON),
    (b'{"a": 1}', "notes.txt", F.TEXT),
    (b'{"a": 1}\n{"a": 2}\n', "log.jsonl", F.JSON),
    (json.dumps({"cells": [], "nbformat": 4}).encode(), "book.ipynb", F.IPYNB),
    (json.dumps({"cells": [], "nbformat": 4}).encode(), "", F.IPYNB),
    (b"<!DOCTYPE html><p>Hi", "", F.HTML),
    (b"\n\n<HTML><body>Hi", "report.doc", F.HTML),
    (b"<html><body>Hi", "notes.txt", F.HTML),
    (b"<p>Hi</p>", "page.htm", F.HTML),
    (b"<template><p>Hi</p></template>", "page.vue", F.CODE),
    (b'<?xml version="1.0"?><a/>', "", F.XML),
    (b"<a/>", "a.xml", F.XML),
    (b'<?xml version="1.0"?><svg xmlns="x"/>', "a.svg", F.XML),
    (b'<?xml version="1.0"?><!-- <html> --><rss version="2.0"/>', "", F.RSS),
    (b'<?xml version="1.0"?><feed xmlns="x"/>', "a.xml", F.RSS),
    (b'<?xml version="1.0"?><html xmlns="x"/>', "a.xml", F.HTML),
    (b"From: a@b.example\nTo: c@d.example\nSubject: Hi\n\nHello", "", F.EML),
    (b"Subject: Hi\n\nHello", "letter.eml", F.EML),
    ("Grüße\n".encode("utf-16"), "", F.TEXT),
    ("Grüße an alle\n".encode("utf-16-le"), "notes.txt", F.TEXT),
    ("Привет, мир\n".encode("cp1251"), "notes.txt", F.TEXT),
    ("こんにちは\n".encode("shift_jis"), "", F.TEXT),
    (b"\xef\xbb\xbfa;b\n1;2\n", "book.csv", F.CSV),
    (b"MZ is how programs begin.", "notes.txt", F.TEXT),
]


@pytest.mark.parametrize(("content", "name", "expected"), TEXTS)
def test_texts_are_told_apart(content: bytes, name: str, expected: Format) -> None:
    assert detect(content, name) is expected


NOISE = bytes((value * 7 + 3) % 251 for value in range(4_000))


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b"", "report.pdf", None),
        (NOISE, "", None),
        (NOISE, "notes.txt", None),
        (NOISE, "data.csv", None),
        (NOISE, "data.xyz", None),
        # Damaged, not unknown.
        (NOISE, "report.pdf", F.PDF),
        (NOISE, "photo.jpg", F.JPG),
        (NOISE, "report.docx", F.DOCX),
        (NOISE, "voice.mp3", F.MP3),
        # A program is a program.
        (b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff", "voice.mp3", None),
        (b"\x7fELF\2\1\1\0" + bytes(60), "report.pdf", None),
        (b"RIFF\0\0\0\0AVI LIST", "", None),
        (b"\x1f\x8b\x08\0\0\0\0\0", "a.tar.gz", None),
        (boxed(b"avif"), "", None),
    ],
)
def test_what_is_nothing_is_unknown_or_damaged(
    content: bytes, name: str, expected: Format | None
) -> None:
    assert detect(content, name) is expected


@pytest.mark.parametrize("name", ["report.docx", "book.xlsx", "deck.odp", "book.epub"])
def test_a_package_that_has_lost_its_end_is_still_what_its_name_says(name: str) -> None:
    whole = archive(word__document_dot_xml=b"x" * 1000)
    assert detect(whole[:500], name) is named_format(name)
    assert detect(whole[:500], "all.zip") is F.ZIP


def test_a_package_without_any_part_is_damaged_and_a_zip_without_any_is_empty() -> None:
    assert detect(archive(), "report.docx") is F.DOCX
    assert detect(archive(), "") is F.ZIP


def test_a_list_of_members_that_leads_nowhere_is_followed_no_further() -> None:
    content = bytearray(archive(a=b"1"))
    struct.pack_into("<I", content, len(content) - 6, 0xFFFFFFF0)
    assert detect(bytes(content), "") is F.ZIP


def repacked(file: Path, compression: int, *, is_last: bool) -> bytes:
    """A document as others pack it: its kind compressed, or not its first member."""
    packed = io.BytesIO()
    with zipfile.ZipFile(file) as reader, zipfile.ZipFile(packed, "w", compression) as writer:
        names = sorted(reader.namelist(), key=lambda name: (name == "mimetype") is is_last)
        for name in names:
            writer.writestr(name, reader.read(name))
    return packed.getvalue()


@pytest.mark.parametrize("name", ["report.odt", "book.ods", "deck.odp", "book.epub"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("is_last", [False, True])
def test_a_package_is_known_however_it_says_what_it_is(
    name: str, compression: int, is_last: bool
) -> None:
    content = repacked(KEPT / name, compression, is_last=is_last)
    assert detect(content, "") is Format(name.partition(".")[2])
    assert detect(content, "a.zip") is Format(name.partition(".")[2])


def test_a_kind_that_cannot_be_unpacked_says_nothing() -> None:
    content = repacked(KEPT / "report.odt", zipfile.ZIP_DEFLATED, is_last=False)
    start = 30 + len("mimetype")
    assert detect(content[:start] + b"\xff" * 8 + content[start + 8 :], "") is F.ZIP


def test_an_empty_file_has_no_format(tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.touch()
    assert detect_file(file, "a.pdf") is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.DOCM", F.DOCX),
        ("a.tar.Tiff", F.TIFF),
        ("voice.opus", F.OGG),
        ("docx", None),
        ("a.", None),
        ("", None),
        ("text", None),
        ("a.text", None),
    ],
)
def test_names_promise_formats(name: str, expected: Format | None) -> None:
    assert named_format(name) is expected


def test_nothing_of_a_name_but_a_plain_ending_is_told_again() -> None:
    assert ending_of("Letter to Anna.EXE") == "exe"
    assert ending_of("Dear Anna. I love you") == "unknown"
    assert ending_of("Anna") == "unknown"


@given(
    start=st.sampled_from([content[:40] for content, _ in CONTENTS.values()] + [b""]),
    rest=st.binary(max_size=300),
    name=st.one_of(st.sampled_from(NAMES), st.text(max_size=20)),
)
def test_any_content_under_any_name_has_a_format_or_none(
    start: bytes, rest: bytes, name: str
) -> None:
    found = detect(start + rest, name)
    assert found is None or found in Format


@given(
    content=st.sampled_from([content for content, _ in CONTENTS.values()]),
    cut=st.integers(1, 2_000),
    flips=st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 255)), max_size=8),
)
def test_damaged_contents_are_looked_at_without_harm(
    content: bytes, cut: int, flips: list[tuple[int, int]]
) -> None:
    damaged = bytearray(content[:cut])
    for position, value in flips:
        damaged[position % len(damaged)] = value
    detect(bytes(damaged), "a.docx")
