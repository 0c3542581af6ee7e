"""Zip archives: what is in them, and what is wrong with them."""

from __future__ import annotations

import io
import zipfile

import pytest

from chuk.errors import CorruptFile, UnsupportedFormat
from tests.media.files.pictures import encoded, picture_of
from tests.media.reading import KEPT, markdown, reading


def zipped(members: dict[str, bytes | str]) -> bytes:
    """An archive of these."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def locked(archive: bytes) -> bytes:
    """The archive with its members said to be encrypted."""
    changed = bytearray(archive)
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        found = changed.find(mark)
        while found >= 0:
            changed[found + at] |= 1
            found = changed.find(mark, found + 4)
    return bytes(changed)


def test_every_member_has_a_heading() -> None:
    archive = zipped(
        {
            "notes.txt": "Some words",
            "docs/report.docx": (KEPT / "report.docx").read_bytes(),
            "scan.png": encoded(picture_of("Hi"), "PNG"),
            "talk.mp3": b"ID3\4" + bytes(200),
        }
    )
    parts = reading(archive, "a.zip")["parts"]
    assert [part["text"].split("\n")[0] for part in parts if "text" in part] == [
        "## notes.txt",
        "Some words",
        "## docs/report.docx",
        "# Quarterly report",
        "## scan.png",
        "## talk.mp3",
    ]
    assert [list(part) for part in parts if "text" not in part] == [
        ["picture"],
        ["sound", "format"],
    ]


def test_archives_in_archives_are_read() -> None:
    archive = zipped({"in.zip": zipped({"more.zip": zipped({"deep.txt": "Deep words"})})})
    assert markdown(archive, "a.zip") == (
        "## in.zip\n\n## in.zip/more.zip\n\n## in.zip/more.zip/deep.txt\n\nDeep words"
    )


def test_members_that_cannot_be_read_are_named() -> None:
    archive = zipped(
        {
            "good.txt": "Words",
            "tool.exe": b"MZ\0\0" * 9,
            "empty.txt": "",
            "bad.docx": b"PK\3\4 no",
            "__MACOSX/._good.txt": b"\0\5",
        }
    )
    assert markdown(archive, "a.zip") == (
        "## good.txt\n\nWords\n\n## Skipped\n\n- tool.exe: Its format is not read.\n"
        "- empty.txt: It is empty.\n- bad.docx: This document is damaged."
    )


def test_names_are_shown_and_nothing_else() -> None:
    archive = zipped({"../../etc/x.txt": "Words", "/abs\n# fake\u202e.txt": "More"})
    assert markdown(archive, "a.zip") == (
        "## ../../etc/x.txt\n\nWords\n\n## /abs \\# fake .txt\n\nMore"
    )


def test_an_archive_behind_a_password_is_refused_for_it() -> None:
    with pytest.raises(CorruptFile) as refused:
        markdown(locked(zipped({"a.txt": "Words"})), "a.zip")
    assert "password" in refused.value.message


def test_an_archive_of_nothing_that_is_read_is_not_supported() -> None:
    with pytest.raises(UnsupportedFormat) as refused:
        markdown(zipped({"a.exe": b"MZ\0\0" * 9}), "a.zip")
    assert refused.value.details["format"] == "exe"
    assert "docx" in refused.value.details["supported"]


@pytest.mark.parametrize("members", [{}, {"folder/": ""}, {"a.txt": ""}])
def test_an_archive_of_nothing_is_refused(members: dict[str, bytes | str]) -> None:
    with pytest.raises(CorruptFile):
        markdown(zipped(members), "a.zip")


def test_bytes_are_counted_as_they_are_read_whatever_the_archive_says() -> None:
    archive = zipped({"first.txt": "x" * 1000, "bomb.txt": "y" * 5000, "last.txt": "z" * 10})
    # Its own list says that the second is a byte long.
    lying = archive.replace((5000).to_bytes(4, "little"), (1).to_bytes(4, "little"))
    for one in (archive, lying):
        answer = reading(one, "a.zip", bytes=2000)
        assert answer["truncated"] or one is lying
        text = "".join(part["text"] for part in answer["parts"])
        assert "bomb.txt:" in text
        assert "yyy" not in text


def test_the_bytes_are_shared_by_all_archives_inside() -> None:
    inner = zipped({"x.txt": "x" * 1000})
    answer = reading(zipped({f"{n}.zip": inner for n in range(9)}), "a.zip", bytes=4000)
    text = "".join(part["text"] for part in answer["parts"])
    assert 0 < text.count("x" * 1000) < 4
    assert answer["truncated"]


def test_archives_too_deep_are_named() -> None:
    archive = zipped({"x.txt": "The bottom"})
    for number in range(20):
        archive = zipped({"top.txt": f"Level {number}", f"{number}.zip": archive})
    text = markdown(archive, "a.zip")
    assert "Level 19" in text
    assert "The bottom" not in text
    assert "packed too deep" in text


def test_of_very_many_members_the_first_are_read_and_some_others_named() -> None:
    archive = zipped({f"{number}.txt": "w" for number in range(2_000)})
    answer = reading(archive, "a.zip")
    assert answer["truncated"]
    assert len(answer["parts"]) == 2_001
    assert answer["parts"][-1]["text"].endswith("- and 900 more")


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_an_archive_cut_short_is_damaged(share: float) -> None:
    archive = zipped({"a.txt": "Words" * 100, "b.txt": "More" * 100})
    with pytest.raises(CorruptFile):
        markdown(archive[: int(len(archive) * share)], "a.zip")


def test_a_member_with_a_wrong_sum_is_damaged_and_others_are_read() -> None:
    archive = bytearray(zipped({"a.txt": "Words", "b.txt": "Other words"}))
    archive[archive.find(b"a.txt") + 6] ^= 0x55
    text = markdown(bytes(archive), "a.zip")
    assert "- a.txt: It is damaged." in text
    assert "Other words" in text


def test_why_nothing_could_be_read_is_said_once_however_deep_it_is_packed() -> None:
    packed = zipped({"a.txt": ""})
    for _ in range(3):
        packed = zipped({"a.zip": packed})
    with pytest.raises(CorruptFile) as caught:
        markdown(packed, "a.zip")
    assert caught.value.message == "Nothing in this archive could be read. It is empty."
