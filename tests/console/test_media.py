"""Files, recordings, pictures and voices on the page."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from tests.conftest import StartServer
from tests.console.visitor import Visitor, visiting
from tests.fakes.groq import FakeGroq
from tests.fakes.inworld import Answer, FakeInworld
from tests.fakes.openrouter import FakeOpenRouter
from tests.media.recordings import encoded, silence

pytestmark = pytest.mark.browser

_SHEET = {"name": "ships.csv", "mimeType": "text/csv", "buffer": b"ship,length\nVega,31\n"}


async def test_a_file_becomes_text_for_the_message(
    visitor: Visitor, openrouter: FakeOpenRouter
) -> None:
    page = visitor.page
    await page.get_by_label("File to read").set_input_files([_SHEET])
    card = page.get_by_role("region", name="ships.csv", exact=True)
    await expect(card.locator("pre")).to_contain_text("Vega")
    await expect(card).to_contain_text("csv")
    await card.get_by_role("button", name="Put into the message").click()
    await expect(card).to_be_hidden()
    await expect(visitor.message).to_be_focused()
    assert "| Vega" in await visitor.message.input_value()
    await visitor.message.press("Enter")
    await visitor.over(page.locator(".turn"))
    assert "Vega" in openrouter.completions[-1].body["messages"][-1]["content"]


async def test_a_file_may_be_dropped(visitor: Visitor) -> None:
    page = visitor.page
    dropped = await page.evaluate_handle(
        """() => {
          const data = new DataTransfer();
          data.items.add(new File(["# Tides"], "tides.md", { type: "text/markdown" }));
          return data;
        }"""
    )
    await page.dispatch_event("#chat", "dragover", {"dataTransfer": dropped})
    await expect(page.locator("#chat.dropping")).to_be_visible()
    await page.dispatch_event("#chat", "drop", {"dataTransfer": dropped})
    card = page.get_by_role("region", name="tides.md", exact=True)
    await expect(card.locator("pre")).to_contain_text("Tides")
    await card.get_by_role("button", name="Dismiss tides.md").click()
    await expect(card).to_be_hidden()


async def test_a_file_that_cannot_be_read_says_why(visitor: Visitor) -> None:
    visitor.expected.append("Failed to load resource")
    broken = {"name": "a.bin", "mimeType": "application/pdf", "buffer": b"\0\1\2"}
    await visitor.page.get_by_label("File to read").set_input_files([broken])
    await expect(visitor.page.get_by_role("alert")).to_contain_text("UNSUPPORTED_FORMAT")


@pytest.fixture
async def listening(browser: Browser, start_server: StartServer) -> AsyncIterator[Visitor]:
    """Somebody at a server whose recordings a stand-in hears."""
    async with FakeGroq() as groq:
        environ = {"GROQ_API_KEY": groq.api_key, "GROQ_BASE_URL": groq.base_url}
        async with start_server(**environ) as server, visiting(browser, server) as somebody:
            await somebody.enter()
            yield somebody


async def test_a_recording_becomes_text(listening: Visitor) -> None:
    page = listening.page
    sound = {"name": "memo.wav", "mimeType": "audio/wav", "buffer": silence(1)}
    await page.get_by_label("Recording to write down").set_input_files([sound])
    card = page.get_by_role("region", name="memo.wav", exact=True)
    await expect(card.locator("pre")).to_contain_text("Nothing was said.")


async def test_what_is_said_into_the_microphone_becomes_text(listening: Visitor) -> None:
    page = listening.page
    await page.get_by_role("button", name="Record", exact=True).click()
    stop = page.get_by_role("button", name="Stop recording")
    await expect(stop).to_have_attribute("aria-pressed", "true")
    # A recording of nothing at all is none.
    await expect(stop).to_contain_text("2 s")
    await stop.click()
    card = page.get_by_role("region", name="recording.webm", exact=True)
    await expect(card.locator("pre")).not_to_be_empty()
    await expect(card).to_contain_text(" s")


async def test_a_picture_is_drawn_and_shown(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.go("Draw")
    await page.get_by_label("What is to be seen").fill("a hill under the moon")
    await page.get_by_label("Size").select_option("square")
    await page.get_by_label("Seed").fill("7")
    await page.get_by_role("button", name="Draw", exact=True).click()
    picture = page.get_by_role("img", name="Drawn: a hill under the moon")
    await picture.wait_for()
    await expect(picture).to_have_js_property("naturalWidth", 512)
    await expect(page.locator("#pictures figcaption")).to_contain_text("512 × 512, seed 7, €0")
    await visitor.photograph("drawn")


async def test_a_reply_can_be_heard(browser: Browser, start_server: StartServer) -> None:
    async with FakeInworld() as inworld:
        environ = {"INWORLD_API_KEY": inworld.api_key, "INWORLD_BASE_URL": inworld.base_url}
        inworld.script(Answer(pieces=[encoded(silence(1), "mp3")]))
        async with start_server(**environ) as server, visiting(browser, server) as visitor:
            await visitor.enter()
            turn = await visitor.ask("Say **this**")
            await visitor.over(turn)
            await turn.get_by_role("button", name="Hear").click()
            player = turn.locator("audio")
            await player.wait_for()
            await expect(player).to_have_js_property("readyState", 4)
            assert await player.evaluate("(each) => each.duration") > 0.5
            assert await player.get_attribute("aria-label") == "The answer, spoken"
        assert "**" not in inworld.asked[-1].body["text"]


async def test_what_the_server_does_not_do_is_not_offered(
    browser: Browser, start_server: StartServer
) -> None:
    off = {"CHUK_MEDIA_SPEECH_ENABLED": "false", "CHUK_MEDIA_AUDIO_ENABLED": "false"}
    async with start_server(**off) as server, visiting(browser, server) as visitor:
        await visitor.enter()
        turn = await visitor.ask("Hello")
        await visitor.over(turn)
        await expect(turn.get_by_role("button", name="Hear")).to_have_count(0)
