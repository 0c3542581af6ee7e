"""The pages for everybody: by keyboard alone, on a small screen, in the dark, without looking."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.console.pictures import BLIND, SEES, bring, picture
from tests.console.visitor import Scheme, Visitor, visiting
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import RunningServer

pytestmark = pytest.mark.browser

SMALL = (320, 640)
_ROLES = {
    *("button", "link", "textbox", "searchbox", "combobox", "checkbox", "radio", "slider"),
    *("spinbutton", "image", "img", "region", "navigation", "complementary", "form"),
}
_ANSWER = "Some *words* with `code`, [a link](https://example.com/) and\n\n```\na block\n```\n"

# The contrast of every text that is seen (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio).
# A canvas knows every way to write a colour.
_FAINT = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((v, i) => v * a + under[i] * (1 - a));
  const ground = (element) => {
    if (element === null) return [255, 255, 255];
    const color = rgba(getComputedStyle(element).backgroundColor);
    return color[3] === 1 ? color.slice(0, 3) : over(color, ground(element.parentElement));
  };
  const light = (color) => {
    const [r, g, b] = color.map((v) => v / 255).map((v) =>
      v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    const isSeen = element.checkVisibility({ visibilityProperty: true });
    if (!isSeen || !node.textContent.trim()) continue;
    if (element.closest(".unseen, noscript, :disabled, option")) continue;
    const under = ground(element);
    const style = getComputedStyle(element);
    const paint = element instanceof SVGElement ? style.fill : style.color;
    const [one, other] = [light(over(rgba(paint), under)), light(under)];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    texts += 1;
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)}: ${node.textContent.trim().slice(0, 40)}`);
  }
  return texts ? faint : ["nothing is seen"];
}"""
_TOO_WIDE = """() => {
  const wide = [];
  if (document.documentElement.scrollWidth > innerWidth) wide.push("the page scrolls sideways");
  const looked = "button, input, select, textarea, a, h2, p, img, svg";
  for (const element of document.querySelectorAll(looked)) {
    if (!element.checkVisibility() || element.closest(".unseen, .skip, .scrolls, pre")) continue;
    const { left, right } = element.getBoundingClientRect();
    if (left < -0.5 || right > innerWidth + 0.5) wide.push(element.outerHTML.slice(0, 80));
  }
  return wide;
}"""


async def nodes(page: Page) -> list[tuple[str, str]]:
    """Role and name of everything that a screen reader is told of."""
    session = await page.context.new_cdp_session(page)
    tree: dict[str, Any] = await session.send("Accessibility.getFullAXTree")
    await session.detach()
    return [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree["nodes"]
        if not node.get("ignored") and "role" in node
    ]


async def holds_for_everybody(visitor: Visitor) -> None:
    """What holds of every page, whatever it shows."""
    page = visitor.page
    told = await nodes(page)
    assert [each for each in told if each[0] in _ROLES and not each[1].strip()] == []
    assert {"banner", "main"} <= {role for role, _ in told}
    # Until they rest: a colour on its way is neither.
    await page.evaluate("Promise.all(document.getAnimations().map((each) => each.finished))")
    assert await page.evaluate(_FAINT) == []
    assert await page.evaluate(_TOO_WIDE) == []


async def every_section(visitor: Visitor, openrouter: FakeOpenRouter, name: str) -> None:
    """Go through the whole console and look at each part."""
    page = visitor.page
    await visitor.open()
    await page.get_by_label("Access token").wait_for()
    await holds_for_everybody(visitor)
    await visitor.photograph(f"{name}-welcome")
    await visitor.enter()
    await holds_for_everybody(visitor)
    await visitor.photograph(f"{name}-opening")
    await page.locator("#model").select_option(label=BLIND, force=True)
    await bring(visitor, "drop", "hill.png", picture(), "image/png")
    await bring(visitor, "drop", "broken.png", b"no", "image/png")
    await expect(page.get_by_role("region", name="broken.png").get_by_role("alert")).to_be_visible()
    await expect(page.get_by_role("img", name="Picture hill.png")).to_be_visible()
    await holds_for_everybody(visitor)
    await visitor.photograph(f"{name}-pictures")
    await page.get_by_role("button", name="Dismiss broken.png").click()
    await page.get_by_role("button", name=f"Use {SEES}").click()
    await holds_for_everybody(visitor)
    openrouter.script(Reply(content=[_ANSWER], reasoning=["Well."]))
    await visitor.over(await visitor.ask("Hello"))
    await page.get_by_role("button", name="Wire").click()
    visitor.expected.append("Failed to load resource")
    openrouter.script(Reply(status=404))
    await expect((await visitor.ask("And?")).get_by_role("alert")).to_be_visible()
    await holds_for_everybody(visitor)
    await visitor.photograph(f"{name}-chat")
    await page.get_by_role("button", name="Wire").click()
    settings = page.get_by_role("button", name="Settings")
    if await settings.is_visible():
        await settings.click()
        await expect(page.get_by_label("Model", exact=True)).to_be_focused()
        await holds_for_everybody(visitor)
        await visitor.photograph(f"{name}-settings")
    await visitor.go("Draw")
    await holds_for_everybody(visitor)
    await visitor.go("Usage")
    await page.get_by_role("img", name="Cost by day").wait_for()
    await holds_for_everybody(visitor)
    await visitor.photograph(f"{name}-usage")
    await visitor.open("/docs")
    await page.locator(".operation").first.wait_for()
    await holds_for_everybody(visitor)
    await visitor.photograph(f"{name}-docs")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1440, 900), (900, 700), SMALL], ids=["wide", "middle", "small"])
async def test_all_is_named_readable_and_in_its_place(
    browser: Browser,
    server: RunningServer,
    openrouter: FakeOpenRouter,
    size: tuple[int, int],
    scheme: Scheme,
) -> None:
    async with visiting(browser, server, size=size, scheme=scheme) as visitor:
        await every_section(visitor, openrouter, f"{scheme}-{size[0]}")


async def test_a_person_may_choose_light_or_dark(visitor: Visitor) -> None:
    page = visitor.page
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(ground)
    button = page.get_by_role("button", name="Colours")
    await button.click()
    assert await page.evaluate(ground) == light
    await button.click()
    await expect(button).to_have_accessible_name(re.compile("Dark"))
    dark = await page.evaluate(ground)
    assert dark != light
    await page.reload()
    assert await page.evaluate(ground) == dark
    await page.get_by_role("button", name="Colours").click()
    assert await page.evaluate(ground) == light


async def test_everything_is_done_by_keyboard_alone(
    browser: Browser, server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    async with visiting(browser, server) as visitor:
        page, keys = visitor.page, visitor.page.keyboard
        await visitor.open()
        await page.get_by_label("Access token").wait_for()
        await keys.type(server.token())
        await keys.press("Enter")
        await expect(visitor.message).to_be_focused()
        await keys.type("One")
        await keys.press("Shift+Enter")
        await keys.type("Two")
        openrouter.script(Reply(content=["a ", "b"], stall_after=1))
        await keys.press("Enter")
        await openrouter.wait_for_completions(1)
        assert openrouter.completions[0].body["messages"][-1]["content"] == "One\nTwo"
        await expect(page.locator(".reply")).to_contain_text("a")
        await keys.press("Escape")
        await openrouter.wait_for_disconnect()
        await visitor.over(page.locator(".turn"))
        # Up from the message to everything else, in the order in which it is read.
        await page.evaluate("document.activeElement.blur(), getSelection().removeAllRanges()")
        await page.reload()
        await expect(visitor.message).to_be_focused()
        await page.get_by_role("link", name="Skip to the message").focus()
        passed = [await _focused(page)]
        while passed[-1][0] != "Message" and len(passed) < 40:
            await keys.press("Tab")
            passed.append(await _focused(page))
        names = [name for name, _ in passed]
        wanted = ["Skip", "Chat", "Usage", "Wire", "Model", "Temperature", "Message"]
        places = [names.index(next(filter(_begins(each), names))) for each in wanted]
        assert places == sorted(places)
        assert [name for name, is_seen in passed if not is_seen] == []


def _begins(word: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(word)


async def _focused(page: Page) -> tuple[str, bool]:
    """The name of what has the focus, and whether one sees that it has."""
    found = await page.evaluate(
        """() => {
          const element = document.activeElement;
          const name = element.ariaLabel || element.labels?.[0]?.innerText || element.innerText;
          const shows = (each) => {
            const { outlineStyle, boxShadow } = getComputedStyle(each);
            return outlineStyle !== "none" || boxShadow !== "none";
          };
          return [name || element.id, shows(element) || shows(element.parentElement)];
        }"""
    )
    return found[0].strip(), found[1]


async def test_an_answer_is_read_to_those_who_listen_once_it_is_whole(
    visitor: Visitor, openrouter: FakeOpenRouter
) -> None:
    page = visitor.page
    log = page.get_by_role("log", name="Conversation")
    await expect(log).to_have_attribute("aria-live", "polite")
    openrouter.script(Reply(content=["a ", "b"], stall_after=1))
    turn = await visitor.ask("Hello")
    await expect(turn.locator(".reply")).to_contain_text("a")
    await expect(turn.locator(".answer")).to_have_attribute("aria-busy", "true")
    openrouter.release.set()
    await visitor.over(turn)
    await expect(page.locator("#announcer")).to_contain_text("The answer is complete")
