"""Chatting on the page: streamed, stopped, cut and taken up again, over either transport."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import expect

from chuk.accounts.issuer import DEFAULT_USER
from chuk.api.keys import LEDGER
from tests.console.lines import line_to
from tests.console.visitor import Visitor
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import RunningServer

pytestmark = pytest.mark.browser

PIECES = [f"word{number} " for number in range(40)]


async def over(visitor: Visitor, transport: str) -> None:
    """Choose a transport."""
    await visitor.page.get_by_label(transport).check()


@pytest.fixture(params=["SSE", "WebSocket"])
def transport(request: pytest.FixtureRequest) -> str:
    """Either way to stream."""
    name: str = request.param
    return name


async def test_an_answer_is_seen_while_it_comes(
    visitor: Visitor, openrouter: FakeOpenRouter, transport: str
) -> None:
    rest = asyncio.Event()
    openrouter.script(Reply(content=PIECES, gates={20: rest}))
    await over(visitor, transport)
    turn = await visitor.ask("Count to forty.")
    await expect(turn.locator(".reply")).to_contain_text("word19")
    await expect(turn.locator(".answer")).to_have_attribute("aria-busy", "true")
    assert "word20" not in await turn.inner_text()
    rest.set()
    await visitor.over(turn)
    await expect(turn.locator(".reply")).to_have_text("".join(PIECES).strip())
    await expect(visitor.message).to_be_focused()


async def test_a_turn_says_what_it_cost_and_what_is_left(
    visitor: Visitor, server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    await expect(visitor.page.locator("#purse")).to_contain_text("€100.00 left")
    openrouter.script(
        Reply(content=PIECES, usage={"prompt_tokens": 9, "completion_tokens": 40, "cost": 2.0})
    )
    turn = await visitor.ask("Count.")
    await visitor.over(turn)
    (receipt,) = await server.app[LEDGER].receipts(DEFAULT_USER, before=None, limit=10)
    assert receipt.charged == 1_840_000
    await expect(turn.locator(".receipt")).to_contain_text("€1.84")
    await expect(turn.locator(".receipt")).to_contain_text("9 + 40")
    await expect(visitor.page.locator("#purse")).to_contain_text("€98.16 left")


async def test_an_answer_is_stopped_at_the_server(
    visitor: Visitor, openrouter: FakeOpenRouter, transport: str
) -> None:
    openrouter.script(Reply(content=PIECES, stall_after=10))
    await over(visitor, transport)
    turn = await visitor.ask("Count.")
    await expect(turn.locator(".reply")).to_contain_text("word9")
    await visitor.page.get_by_role("button", name="Stop", exact=True).click()
    await openrouter.wait_for_disconnect()
    await visitor.over(turn)
    await expect(visitor.page.locator("#announcer")).to_contain_text("Stopped")
    await expect(visitor.page.get_by_role("button", name="Send")).to_be_visible()
    # The next turn knows what was said.
    await visitor.over(await visitor.ask("Go on."))
    assert [each["role"] for each in openrouter.completions[-1].body["messages"]] == [
        "user",
        "assistant",
        "user",
    ]


async def test_a_cut_answer_goes_on_and_nothing_is_missing(
    visitor: Visitor, server: RunningServer, openrouter: FakeOpenRouter, transport: str
) -> None:
    visitor.expected += ["Failed to load resource", "WebSocket connection"]
    rest = asyncio.Event()
    openrouter.script(Reply(content=PIECES, gates={20: rest}))
    async with line_to(server.url) as line:
        await visitor.enter(at=line.url)
        await over(visitor, transport)
        turn = await visitor.ask("Count to forty.")
        await expect(turn.locator(".reply")).to_contain_text("word19")
        await line.cut()
        await expect(turn.locator(".network")).to_contain_text("Reconnected after")
        rest.set()
        await visitor.over(turn)
        await visitor.photograph(f"resumed-{transport}")
    await expect(turn.locator(".reply")).to_have_text("".join(PIECES).strip())
    assert len(openrouter.completions) == 1
    assert len(await server.app[LEDGER].receipts(DEFAULT_USER, before=None, limit=10)) == 1


async def test_an_answer_goes_on_after_the_page_was_loaded_anew(
    visitor: Visitor, server: RunningServer, openrouter: FakeOpenRouter, transport: str
) -> None:
    rest = asyncio.Event()
    openrouter.script(Reply(content=PIECES, gates={20: rest}))
    await over(visitor, transport)
    turn = await visitor.ask("Count to forty.")
    await expect(turn.locator(".reply")).to_contain_text("word19")
    await visitor.page.reload()
    await expect(turn.locator(".said")).to_contain_text("Count to forty.")
    await expect(turn.locator(".reply")).to_contain_text("word19")
    rest.set()
    await visitor.over(turn)
    await expect(turn.locator(".reply")).to_have_text("".join(PIECES).strip())
    assert len(openrouter.completions) == 1
    assert len(await server.app[LEDGER].receipts(DEFAULT_USER, before=None, limit=10)) == 1
    # The talk goes on from it, and nothing of it stays in the tab.
    assert await visitor.page.evaluate("Object.keys(sessionStorage)") == ["chuk-token"]
    await visitor.over(await visitor.ask("Go on."))
    assert len(openrouter.completions[-1].body["messages"]) == 3


async def test_an_answer_that_was_read_on_can_be_stopped(
    visitor: Visitor, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=PIECES, stall_after=10))
    turn = await visitor.ask("Count.")
    await expect(turn.locator(".reply")).to_contain_text("word9")
    await visitor.page.reload()
    await expect(turn.locator(".reply")).to_contain_text("word9")
    await visitor.page.get_by_role("button", name="Stop", exact=True).click()
    await openrouter.wait_for_disconnect()
    await visitor.over(turn)


async def test_signing_out_stops_the_answer(
    visitor: Visitor, openrouter: FakeOpenRouter, transport: str
) -> None:
    openrouter.script(Reply(content=PIECES, stall_after=10))
    await over(visitor, transport)
    turn = await visitor.ask("Count.")
    await expect(turn.locator(".reply")).to_contain_text("word9")
    await visitor.page.get_by_role("button", name="Sign out").click()
    await expect(visitor.page.get_by_label("Access token")).to_be_focused()
    await openrouter.wait_for_disconnect()
    assert await visitor.page.evaluate("sessionStorage.length") == 0


async def test_a_request_whose_answer_never_began_is_sent_again_and_paid_once(
    visitor: Visitor, server: RunningServer, openrouter: FakeOpenRouter, transport: str
) -> None:
    visitor.expected += ["Failed to load resource", "WebSocket connection"]
    openrouter.script(Reply(content=PIECES, never_answer=True))
    async with line_to(server.url) as line:
        await visitor.enter(at=line.url)
        await over(visitor, transport)
        turn = await visitor.ask("Count.")
        await openrouter.wait_for_completions(1)
        await line.cut()
        openrouter.release.set()
        await visitor.over(turn)
    await expect(turn.locator(".reply")).to_have_text("".join(PIECES).strip())
    assert len(openrouter.completions) == 1
    assert len(await server.app[LEDGER].receipts(DEFAULT_USER, before=None, limit=10)) == 1


async def test_what_is_chosen_is_what_is_asked_for(
    visitor: Visitor, openrouter: FakeOpenRouter
) -> None:
    page = visitor.page
    await page.get_by_label("Model", exact=True).select_option(label="Qwen: Qwen3 32B")
    provider = page.get_by_label("Provider", exact=True)
    # In euros for a million tokens, the cheapest first.
    assert await provider.locator("option").all_inner_texts() == [
        "DeepInfra · €0.26",
        "Groq · €0.54",
    ]
    await provider.select_option("groq")
    await expect(page.locator("#prices")).to_contain_text("€0.27")
    await page.get_by_label("Longest answer").fill("321")
    await page.get_by_label("Temperature").fill("1.5")
    await page.get_by_label("System prompt").fill("Be brief.")
    await page.get_by_label("Reasoning").select_option("low")
    await visitor.over(await visitor.ask("Why?"))
    body = openrouter.completions[-1].body
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("qwen/qwen3-32b", 321, 1.5)
    assert body["provider"]["only"] == ["groq"]
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["reasoning"]["effort"] == "low"


async def test_an_error_is_told_in_its_own_words(
    visitor: Visitor, openrouter: FakeOpenRouter, transport: str
) -> None:
    visitor.expected.append("Failed to load resource")
    openrouter.script(Reply(status=404))
    await over(visitor, transport)
    turn = await visitor.ask("Hello?")
    await expect(turn.get_by_role("alert")).to_contain_text("MODEL_UNAVAILABLE")
    # And the page goes on.
    await visitor.over(await visitor.ask("Hello again"))


async def test_the_raw_events_stand_beside_the_chat(
    visitor: Visitor, openrouter: FakeOpenRouter, server: RunningServer
) -> None:
    page = visitor.page
    wire = page.get_by_role("complementary", name="What goes over the wire")
    await expect(wire).to_be_hidden()
    await page.get_by_role("button", name="Wire").click()
    openrouter.script(Reply(content=["Good ", "day"]))
    await visitor.over(await visitor.ask("It's me"))
    lines = await wire.locator(".events li").all_inner_texts()
    assert [each.split("{")[0].strip() for each in lines] == [
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "[DONE]",
    ]
    assert '{"content":"Good "}' in lines[2]
    curl = wire.locator(".curl pre")
    shown = await curl.inner_text()
    assert "curl -N" in shown and '"Authorization: Bearer $TOKEN"' in shown
    assert r"It'\''s me" in shown
    assert server.token()[:20] not in await page.content()
    await wire.get_by_label("Show token").check()
    assert "Authorization: Bearer ey" in await curl.inner_text()
