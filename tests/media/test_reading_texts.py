"""Texts of every kind: plain, code, JSON, XML, feeds, tables, notebooks, web pages."""

from __future__ import annotations

import json

import pytest

from chuk.errors import CorruptFile
from chuk.media.reading.encoding import decode
from chuk.media.reading.markdown import fence, without_unsafe_links
from tests.media.reading import markdown, reading

GERMAN = "Die Größe der Äpfel überrascht. " * 20
FRENCH = "Le café est très bon. Où êtes-vous né ? À bientôt, ça va. " * 5
PORTUGUESE = "Não há informações sobre a reunião, e você verá que é difícil. " * 5
RUSSIAN = "Съешь ещё этих мягких французских булок, да выпей чаю. " * 10


def test_text_stays_as_it_is() -> None:
    assert markdown("# Title\r\n\r\nA *word*.\n", "notes.txt") == "# Title\n\nA *word*."


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_is_read_in_its_encoding(encoding: str) -> None:
    assert markdown(GERMAN.encode(encoding), "notes.txt").strip() == GERMAN.strip()


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_wide_letters_are_read_without_their_mark(encoding: str) -> None:
    assert markdown("plain words\n".encode(encoding), "notes.txt") == "plain words"
    assert markdown("a,b\n1,x\n".encode(encoding), "t.csv") == "| a | b |\n| --- | --- |\n| 1 | x |"


@pytest.mark.parametrize("text", [FRENCH, PORTUGUESE])
def test_western_letters_are_not_taken_for_eastern_ones(text: str) -> None:
    assert decode(text.encode("cp1252")) == text


def test_a_long_text_may_be_guessed_and_a_short_one_is_not() -> None:
    assert decode(RUSSIAN.encode("cp1251")) == RUSSIAN
    assert decode("Café".encode("cp1252")) == "Café"


def test_what_is_declared_goes_before_a_guess() -> None:
    assert decode("Ωμέγα".encode("iso8859-7"), "iso8859-7") == "Ωμέγα"


@pytest.mark.parametrize("declared", ["no-such-encoding", "base64", "utf-8", "idna", "punycode"])
def test_a_false_declaration_does_no_harm(declared: str) -> None:
    assert decode(GERMAN.encode("cp1252"), declared)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(CorruptFile):
        decode(bytes(range(1, 9)) * 100)


def test_code_stands_in_a_fence_longer_than_any_inside() -> None:
    text = markdown('"""\n```\n````\n"""\n', "tool.py")
    assert text == '`````python\n"""\n```\n````\n"""\n`````'


@pytest.mark.parametrize(("name", "language"), [("a.rs", "rust"), ("Dockerfile", "dockerfile")])
def test_a_fence_says_the_language(name: str, language: str) -> None:
    assert markdown("x", name) == f"```{language}\nx\n```"


def test_json_on_one_line_is_spread_out() -> None:
    assert (
        markdown('{"a": [1, "é"]}', "a.json")
        == '```json\n{\n  "a": [\n    1,\n    "é"\n  ]\n}\n```'
    )


@pytest.mark.parametrize("text", ['{"a": 1\n', '[1]\n{"b": 2}\n', "[" * 50_000 + '""'])
def test_json_that_is_not_whole_stays_as_it_is(text: str) -> None:
    assert markdown(text, "a.json") == fence(text, "json")


def test_xml_stands_in_a_fence() -> None:
    assert markdown("<a><b>1</b></a>", "a.xml") == "```xml\n<a><b>1</b></a>\n```"


def test_xml_is_read_in_the_encoding_that_it_declares() -> None:
    raw = "<?xml version='1.0' encoding='iso-8859-5'?><a>Привет</a>".encode("iso8859-5")
    assert "Привет" in markdown(raw, "a.xml")


@pytest.mark.parametrize("name", ["bomb.xml", "bomb.svg", "bomb.rss"])
def test_xml_with_entities_is_refused(name: str) -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l0 "lol">{laughs}]><a>&l9;</a>'
    with pytest.raises(CorruptFile):
        markdown(bomb, name)


def test_a_feed_is_a_heading_for_each_entry() -> None:
    feed = (
        '<?xml version="1.0"?><rss><channel><title>News *today*</title><item><title>One</title>'
        "<link>https://example.org/1</link><pubDate>Mon, 05 Jan 2026 10:00:00 GMT</pubDate>"
        "<description>&lt;p&gt;Some &lt;b&gt;bold&lt;/b&gt; news&lt;/p&gt;</description></item>"
        "</channel></rss>"
    )
    assert markdown(feed, "news.rss") == (
        "# News \\*today\\*\n\n## One\n\nMon, 05 Jan 2026 10:00:00 GMT · <https://example.org/1>"
        "\n\nSome **bold** news"
    )


def test_atom_is_read_too() -> None:
    feed = (
        '<feed xmlns="http://www.w3.org/2005/Atom"><title>Blog</title><entry><title>Post</title>'
        '<link href="https://example.org/p"/><summary>Short</summary></entry></feed>'
    )
    assert markdown(feed, "blog.atom") == "# Blog\n\n## Post\n\n<https://example.org/p>\n\nShort"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a,b\n1,x|y\n", "t.csv"),
        ("a;b\n1;x|y\n", "t.csv"),
        ("a\tb\n1\tx|y\n", "t.tsv"),
        ('a,b\n1,"x|y"\n\n', "t.csv"),
        ("sep=;\na;b\n1;x|y\n", "t.csv"),
    ],
)
def test_a_table_is_one_whatever_separates_it(text: str, name: str) -> None:
    assert markdown(text, name) == "| a | b |\n| --- | --- |\n| 1 | x\\|y |"


def test_what_stands_above_a_table_is_no_reason_to_take_it_apart() -> None:
    text = "Account 12, all of it\n\nday;sum\n1;1,50\n2;2,50\n3;4\n"
    assert markdown(text, "bank.csv").splitlines()[2:] == [
        "| day | sum |",
        "| 1 | 1,50 |",
        "| 2 | 2,50 |",
        "| 3 | 4 |",
    ]


def test_a_long_table_is_cut_and_it_is_said() -> None:
    answer = reading(b"a,b\n" + b"1,2\n" * 50_000, "t.csv")
    assert answer["truncated"]


def test_a_notebook_keeps_texts_code_and_outputs() -> None:
    notebook = {
        "nbformat": 4,
        "metadata": {"kernelspec": {"language": "python"}},
        "cells": [
            {"cell_type": "markdown", "source": ["# Study\n", "Why."]},
            {
                "cell_type": "code",
                "source": "print(1)",
                "outputs": [
                    {"output_type": "stream", "text": ["1\n"]},
                    {"output_type": "execute_result", "data": {"text/plain": "42"}},
                    {"output_type": "error", "traceback": ["\x1b[31mBad\x1b[0m"]},
                ],
            },
        ],
    }
    assert markdown(json.dumps(notebook), "study.ipynb") == (
        "# Study\nWhy.\n\n```python\nprint(1)\n```\n\n```\n1\n```\n\n```\n42\n```\n\n```\nBad\n```"
    )


@pytest.mark.parametrize(
    "text", ['{"cells": [', "[]", '{"cells": 3}', '{"cells": [{"source": 1}]}']
)
def test_a_damaged_notebook_is_refused(text: str) -> None:
    with pytest.raises(CorruptFile):
        markdown(text, "study.ipynb")


def test_a_web_page_is_what_can_be_seen() -> None:
    page = (
        "<!doctype html><html><head><title>A &amp; B</title><script>evil()</script></head><body>"
        "<h1>Hi</h1><p>Some <b>bold</b> and <a href='https://example.org'>a link</a></p>"
        "<ul><li>one<li>two</ul></body></html>"
    )
    answer = reading(page.encode(), "page.html")
    assert answer["title"] == "A & B"
    assert answer["parts"] == [
        {"text": "# Hi\n\nSome **bold** and [a link](https://example.org)\n\n- one\n- two"}
    ]


def test_links_that_are_programs_or_data_are_only_their_words() -> None:
    page = (
        "<p><a href='javascript:alert(1)'>click</a> <a href=' JaVaScript:alert((2))'>me</a>"
        "<img src='data:image/png;base64,AAAA' alt='pic'></p>"
    )
    text = markdown(page, "page.html")
    assert "click" in text and "me" in text and "pic" in text
    assert "script:" not in text.lower() and "data:" not in text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("[a](javascript:x(1))", "a"),
        ("[a](<data:text/html,x y>)", "a"),
        ("![a](data:image/png;base64,xx)", "a"),
        ("[a](https://example.org)", "[a](https://example.org)"),
        ("the data: field", "the data: field"),
        ("<javascript:x>", ""),
        ("[a]: javascript:x", ""),
        (r"\\[a](javascript:x)", r"\\a"),
        (r"[\[a](javascript:x)", r"\[a"),
        ("[a](<data:x> (title))", "a"),
    ],
)
def test_unsafe_links_are_taken_out_of_any_markdown(text: str, left: str) -> None:
    assert without_unsafe_links(text) == left


@pytest.mark.parametrize("piece", ["<data:", "[x](<data:", "[\\", "[x](data:("])
def test_a_file_full_of_beginnings_of_links_is_read_in_its_time(piece: str) -> None:
    text = piece * (4_000_000 // len(piece)) + "\ndata:"
    assert without_unsafe_links(text) == text


def test_a_page_nested_without_end_still_gives_its_words() -> None:
    assert markdown("<div>" * 20_000 + "deep words", "page.html") == "deep words"


def test_a_page_is_read_in_the_encoding_that_it_declares() -> None:
    page = "<html><head><meta charset='windows-1251'></head><body>Привет</body></html>"
    assert markdown(page.encode("cp1251"), "page.html") == "Привет"


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.html", "a.py", "a.md"])
@pytest.mark.parametrize("text", [" ", "\n\n\n"])
def test_a_file_of_nothing_but_space_has_no_text(name: str, text: str) -> None:
    with pytest.raises(CorruptFile):
        markdown(text, name)
