"""The page itself: who gets in, what an answer can never do, and what usage looks like."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, expect

from tests.console.visitor import Visitor, visiting
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import RunningServer

pytestmark = pytest.mark.browser

_WICKED = """<script>alert(1)</script> <img src=x onerror=alert(2)>

[click](javascript:alert(3)) and [here](data:text/html,<script>alert(4)</script>) or
![a](https://elsewhere.example/a.png), <svg onload=alert(5)>, [good](https://example.com/a)

| a | b |
|---|---|
| <iframe src="javascript:alert(6)"> | `<b>` |

```html
<script>alert(7)</script>
"""


async def test_whoever_has_no_good_token_is_told_so(
    browser: Browser, server: RunningServer
) -> None:
    async with visiting(browser, server) as visitor:
        visitor.expected.append("Failed to load resource")
        await visitor.open()
        await expect(visitor.page.get_by_label("Access token")).to_be_focused()
        await visitor.page.get_by_label("Access token").fill("a.b.c")
        await visitor.page.get_by_role("button", name="Sign in").click()
        await expect(visitor.page.get_by_role("alert")).to_contain_text("INVALID_TOKEN")
        await expect(visitor.message).to_be_hidden()
        await visitor.photograph("refused")
        # As it comes out of a chat that has shortened it: not a server that is away.
        await visitor.page.get_by_label("Access token").fill("eyJhbGci…")
        await visitor.page.get_by_role("button", name="Sign in").click()
        await expect(visitor.page.get_by_role("alert")).to_contain_text("no token")
        await expect(visitor.page.get_by_label("Access token")).to_be_focused()


async def test_the_token_stays_in_the_tab_and_goes_with_it(visitor: Visitor) -> None:
    page = visitor.page
    kept = await page.evaluate("[...Object.values(localStorage), document.cookie, location.href]")
    assert not any("ey" in each for each in kept)
    await page.reload()
    await visitor.message.wait_for()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("Access token")).to_be_focused()
    assert await page.evaluate("sessionStorage.length") == 0
    assert "ey" not in await page.locator("#exchanges").inner_text()
    await page.reload()
    await expect(page.get_by_label("Access token")).to_be_visible()


async def test_nothing_that_a_model_writes_ever_runs_or_loads(
    visitor: Visitor, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=re.findall(r".{1,9}", _WICKED, re.DOTALL)))
    turn = await visitor.ask("<img src=x onerror=alert(0)>")
    await visitor.over(turn)
    await expect(turn.locator("img, script, svg, iframe, [onerror], [onload]")).to_have_count(0)
    links = await turn.locator("a").evaluate_all("(all) => all.map((each) => each.href)")
    assert links == ["https://elsewhere.example/a.png", "https://example.com/a"]
    await expect(turn.locator(".reply")).to_contain_text("<script>alert(1)</script>")
    await expect(turn.locator(".reply table td").last).to_have_text("<b>")
    await expect(turn.locator(".reply pre")).to_have_text("<script>alert(7)</script>\n")


async def test_markdown_is_drawn(visitor: Visitor, openrouter: FakeOpenRouter) -> None:
    text = (
        "# Ships\n\nThe *old* **three**:\n\n1. Vega\n   - long\n   - red\n2. Mira\n\n"
        "> Slowly.\n\n| Ship | Length |\n|---|---:|\n| `Vega` | 31 |\n\n---\n\n"
        "```python\nprint('a')\n```\n"
    )
    openrouter.script(Reply(content=[text]))
    turn = await visitor.ask("Tell me.")
    await visitor.over(turn)
    prose = turn.locator(".reply")
    await expect(prose.locator("h4")).to_have_text("Ships")
    await expect(prose.locator("em")).to_have_text("old")
    await expect(prose.locator("strong")).to_have_text("three")
    await expect(prose.locator(":scope > ol > li")).to_have_count(2)
    await expect(prose.locator("ol > li ul > li")).to_have_count(2)
    await expect(prose.locator("blockquote")).to_have_text("Slowly.")
    await expect(prose.locator("td").first).to_have_text("Vega")
    await expect(prose.get_by_role("region", name="Code, python")).to_have_text("print('a')")


async def test_usage_is_a_chart_with_its_table_beside_it(
    visitor: Visitor, openrouter: FakeOpenRouter
) -> None:
    page = visitor.page
    for cost in (0.5, 1.5):
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "cost": cost}
        openrouter.script(Reply(content=["Yes"], usage=usage))
        await visitor.over(await visitor.ask(f"{cost}?"))
    await visitor.go("Usage")
    await expect(page.get_by_role("img", name="Cost by day: 30 days")).to_be_visible()
    by_model = page.get_by_role("region", name="Cost by model", exact=True)
    await expect(by_model.get_by_role("img")).to_have_attribute("aria-label", re.compile("€1.84"))
    await expect(by_model.locator("tbody tr")).to_have_count(1)
    assert await by_model.locator("tbody td").all_inner_texts() == [
        "google/gemma-3-27b-it",
        "2",
        "30",
        "€1.84",
    ]
    await visitor.photograph("usage")
    await page.get_by_label("Shown as").select_option("requests")
    await expect(page.get_by_role("region", name="Requests by day", exact=True)).to_be_visible()
    await page.get_by_label("Over", exact=True).select_option("7")
    await expect(page.get_by_role("img", name="Requests by day: 7 days")).to_be_visible()


async def test_the_reference_has_every_operation_and_every_error(
    browser: Browser, server: RunningServer
) -> None:
    async with server.client.get(f"{server.url}/openapi.json") as answer:
        document = await answer.json(content_type=None)
    async with visiting(browser, server) as visitor:
        page = visitor.page
        await visitor.open("/docs")
        await page.locator(".operation").first.wait_for()
        shown = await page.locator(".operation").evaluate_all("(all) => all.map((each) => each.id)")
        operations = [each for path in document["paths"].values() for each in path.values()]
        assert sorted(shown) == sorted(each["operationId"] for each in operations)
        for code in document["x-errors"]:
            await expect(page.locator(f"#error-{code}")).to_have_count(1)
        linked = await page.locator(".failures a").evaluate_all(
            "(all) => all.map((each) => each.hash).filter((each) => !document.querySelector(each))"
        )
        assert linked == []
        chat = page.locator("#post_v1_ai_chat")
        await expect(chat).to_contain_text("INSUFFICIENT_CREDITS")
        await expect(chat.locator(".curl pre")).to_contain_text('"model_id":"qwen/qwen3-32b"')
        await page.get_by_label("Find").fill("quote")
        await expect(page.locator("#found")).to_have_text("1 operation")
        await expect(chat).to_be_hidden()
        await visitor.photograph("docs-found")


async def test_the_reference_says_when_it_cannot_be_had(
    browser: Browser, server: RunningServer
) -> None:
    async with visiting(browser, server) as visitor:
        visitor.expected.append("Failed to load resource")
        await visitor.page.route("**/openapi.json", lambda route: route.fulfill(status=503))
        await visitor.open("/docs")
        await expect(visitor.page.get_by_role("alert")).to_contain_text("503")
