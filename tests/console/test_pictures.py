"""Pictures that go along with a message: brought in every way, seen, sent, and what stops them."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import subprocess
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import Browser, FilePayload, Locator, expect

from tests.conftest import StartServer
from tests.console.pictures import BLIND, SEES, bring, choose, picture
from tests.console.visitor import Visitor, visiting
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import RunningServer

pytestmark = pytest.mark.browser


def upload(name: str, content: bytes, media_type: str = "image/png") -> FilePayload:
    """A file as somebody picks it."""
    return {"name": name, "mimeType": media_type, "buffer": content}


def tiles(visitor: Visitor) -> Locator:
    """What is attached."""
    return visitor.page.get_by_role("group", name="Pictures for this message").get_by_role(
        "listitem"
    )


def seen_by(openrouter: FakeOpenRouter, message: int = -1) -> list[bytes]:
    """The pictures that a message of the last request had, as the model got them."""
    content: Any = openrouter.completions[-1].body["messages"][message]["content"]
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    return [base64.b64decode(url.partition(",")[2]) for url in urls]


@pytest.mark.parametrize("transport", ["SSE", "WebSocket"])
async def test_a_model_sees_what_is_attached(
    visitor: Visitor, openrouter: FakeOpenRouter, transport: str
) -> None:
    page = visitor.page
    await choose(visitor, SEES)
    await page.get_by_label(transport).check()
    sent = [picture(), picture("JPEG"), picture("WEBP"), picture("GIF")]
    kinds = ["png", "jpeg", "webp", "gif"]
    async with page.expect_file_chooser() as opened:
        await page.get_by_role("button", name="Picture", exact=True).click()
    await (await opened.value).set_files(
        [
            upload(f"a.{kind}", content, f"image/{kind}")
            for kind, content in zip(kinds, sent, strict=True)
        ]
    )
    await expect(tiles(visitor)).to_have_count(4)
    await expect(tiles(visitor).get_by_role("img", name="Picture a.png, 40 × 30")).to_be_visible()
    turn = await visitor.ask("What is this?")
    await visitor.over(turn)
    assert seen_by(openrouter) == sent
    await expect(page.locator("#attached")).to_be_hidden()
    shown = turn.get_by_role("list", name="Pictures").get_by_role("img")
    await expect(shown).to_have_count(4)
    await expect(shown.first).to_have_js_property("naturalWidth", 40)
    # What was seen is still seen when the talk goes on.
    await visitor.over(await visitor.ask("And now?"))
    assert seen_by(openrouter, 0) == sent
    # A model that does not see is only told the words, and the page says so.
    await choose(visitor, BLIND)
    turn = await visitor.ask("Do you see it too?")
    await visitor.over(turn)
    assert openrouter.completions[-1].body["messages"][0]["content"] == "What is this?"
    await expect(turn).to_contain_text("4 earlier pictures were left out")


@pytest.mark.parametrize("how", ["paste", "drop"])
async def test_a_picture_needs_no_words_and_may_be_dropped_or_pasted(
    visitor: Visitor, openrouter: FakeOpenRouter, how: str
) -> None:
    await choose(visitor, SEES)
    await bring(visitor, how, "image.png", picture(), "image/png")
    await expect(tiles(visitor)).to_have_count(1)
    await visitor.message.press("Enter")
    await visitor.over(visitor.page.locator(".turn"))
    assert seen_by(openrouter) == [picture()]


async def test_words_that_are_pasted_with_their_picture_stay_words(visitor: Visitor) -> None:
    await visitor.page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.setData("text/plain", "a table");
          data.items.add(new File(["x"], "table.png", { type: "image/png" }));
          const options = { bubbles: true, cancelable: true, clipboardData: data };
          const event = new ClipboardEvent("paste", options);
          document.getElementById("message").dispatchEvent(event);
          window.wasTaken = event.defaultPrevented;
        }"""
    )
    assert await visitor.page.evaluate("window.wasTaken") is False
    await expect(tiles(visitor)).to_have_count(0)


async def test_a_model_that_does_not_see_is_named_and_another_is_offered(
    visitor: Visitor, openrouter: FakeOpenRouter
) -> None:
    page = visitor.page
    await choose(visitor, BLIND)
    why = page.get_by_role("alert").filter(has_text=f"{BLIND} does not see pictures")
    await expect(why).to_be_hidden()
    await page.get_by_role("button", name="Picture", exact=True).click()
    await expect(why).to_be_visible()
    await bring(visitor, "drop", "hill.png", picture(), "image/png")
    await expect(tiles(visitor)).to_have_count(1)
    await visitor.message.fill("What is this?")
    await visitor.message.press("Enter")
    await expect(page.locator("#announcer")).to_contain_text("does not see pictures")
    await expect(page.locator(".turn")).to_have_count(0)
    assert openrouter.completions == []
    await page.get_by_role("button", name=f"Use {SEES}").click()
    await expect(why).to_be_hidden()
    await visitor.message.press("Enter")
    await visitor.over(page.locator(".turn"))
    assert seen_by(openrouter) == [picture()]


async def test_a_picture_may_become_text_as_any_other_file(visitor: Visitor) -> None:
    page = visitor.page
    await choose(visitor, SEES)
    await bring(visitor, "drop", "tides.md", b"# Tides", "text/markdown")
    await expect(page.get_by_role("region", name="tides.md", exact=True)).to_contain_text("Tides")
    await bring(visitor, "drop", "hill.png", picture(), "image/png")
    visitor.expected.append("Failed to load resource")
    await page.get_by_role("button", name="Read hill.png as text").click()
    await expect(tiles(visitor)).to_have_count(0)
    # There is nothing to be read in it; that it was tried is what counts here.
    await expect(page.get_by_role("region", name="hill.png", exact=True)).to_be_visible()


async def test_pictures_are_removed_by_keyboard_and_the_focus_stays_near(visitor: Visitor) -> None:
    page = visitor.page
    await choose(visitor, SEES)
    for name in ("a.png", "b.png"):
        await bring(visitor, "paste", name, picture(), "image/png")
    first = page.get_by_role("button", name="Remove a.png")
    await first.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Remove b.png")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(visitor.message).to_be_focused()
    await expect(page.locator("#announcer")).to_contain_text("b.png is removed")


async def test_a_picture_too_large_is_made_smaller_and_the_page_says_so(
    visitor: Visitor, openrouter: FakeOpenRouter
) -> None:
    large = picture("BMP", (2600, 1300), noise=True)
    assert len(large) > 10_000_000
    await choose(visitor, SEES)
    await bring(visitor, "drop", "large.bmp", large, "image/bmp")
    await expect(tiles(visitor)).to_contain_text("made smaller from 2600 × 1300")
    await visitor.over(await visitor.ask("What is this?"))
    (sent,) = seen_by(openrouter)
    assert len(sent) <= 2_000_000
    with Image.open(io.BytesIO(sent)) as image:
        assert image.format == "JPEG"
        assert image.width == 2 * image.height


async def test_what_cannot_be_attached_says_why(visitor: Visitor) -> None:
    page = visitor.page
    await choose(visitor, SEES)
    await bring(visitor, "drop", "broken.png", b"\x89PNG\r\n\x1a\nno", "image/png")
    card = page.get_by_role("region", name="broken.png", exact=True)
    await expect(card.get_by_role("alert")).to_contain_text("cannot open it as a picture")
    await card.get_by_role("button", name="Dismiss").click()
    await page.get_by_label("Pictures to attach").set_input_files(
        [upload(f"{number}.png", picture()) for number in range(11)]
    )
    await expect(tiles(visitor)).to_have_count(10)
    await expect(page.get_by_role("region", name="10.png", exact=True)).to_contain_text(
        "10 pictures at most"
    )


async def test_earlier_pictures_stay_behind_when_a_message_would_be_too_large(
    browser: Browser, start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    sent = picture("PNG", (120, 120), noise=True)
    environ = {"CHUK_CHAT_MESSAGE_MAX_BYTES": str(20_000 + 3 * len(sent))}
    async with start_server(**environ) as server, visiting(browser, server) as visitor:
        await visitor.enter()
        await choose(visitor, SEES)
        for count in range(3):
            await bring(visitor, "paste", f"{count}.png", sent, "image/png")
            turn = await visitor.ask("And this?")
            await visitor.over(turn)
        await expect(turn).to_contain_text("An earlier picture was left out")
        assert isinstance(openrouter.completions[-1].body["messages"][0]["content"], str)
        assert seen_by(openrouter, 2) == seen_by(openrouter, 4) == [sent]


async def test_a_refused_message_is_given_back_with_its_pictures(
    visitor: Visitor, openrouter: FakeOpenRouter
) -> None:
    visitor.expected.append("Failed to load resource")
    openrouter.script(Reply(status=404))
    await choose(visitor, SEES)
    await bring(visitor, "paste", "a.png", picture(), "image/png")
    turn = await visitor.ask("What is this?")
    await expect(turn.get_by_role("alert")).to_contain_text("MODEL_UNAVAILABLE")
    await expect(visitor.message).to_have_value("What is this?")
    await expect(tiles(visitor)).to_have_count(1)
    await visitor.message.press("Enter")
    await visitor.over(visitor.page.locator(".turn").last)
    assert seen_by(openrouter) == [picture()]


async def test_the_curl_of_a_picture_is_short_to_see_and_whole_to_run(
    visitor: Visitor, server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    page = visitor.page
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    large = picture("PNG", (400, 400), noise=True)
    assert len(large) > 150_000
    await choose(visitor, SEES)
    await page.get_by_role("button", name="Wire").click()
    await bring(visitor, "paste", "a.png", large, "image/png")
    await visitor.over(await visitor.ask("It's what?"))
    wire = page.get_by_role("complementary", name="What goes over the wire")
    await expect(wire.locator(".curl")).to_contain_text("a picture is cut short")
    shown = await wire.locator(".curl pre").inner_text()
    assert "characters more" in shown and '"message":"It' in shown and len(shown) < 2_000
    await wire.get_by_role("button", name="Copy curl").click()
    await expect(wire.get_by_role("button", name="Copy curl")).to_have_text("Copied")
    command = await page.evaluate("navigator.clipboard.readText()")
    ran = await typed(command, TOKEN=server.token())
    assert '"content"' in ran and "[DONE]" in ran
    assert seen_by(openrouter) == [large]


async def typed(command: str, **environ: str) -> str:
    """What a shell says that is given a command to type."""
    shell = await asyncio.create_subprocess_exec(
        "bash",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **environ},
    )
    said, _ = await shell.communicate(command.encode())
    return said.decode()
