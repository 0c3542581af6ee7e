"""Somebody at a browser: what they do on the page, and what must never happen meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    async_playwright,
    expect,
)

from tests.harness import RunningServer

PICTURES = Path(__file__).parents[2] / "bench-results/console"
WIDE = (1440, 900)
# For everything that is waited for, in milliseconds: a busy machine is slow, and not wrong.
PATIENCE = 90_000
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A microphone that beeps, and nobody to ask whether it may be used.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
# Told before any script of the page runs.
_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`violates ${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
"""
expect.set_options(timeout=PATIENCE)
Scheme = Literal["light", "dark"]


class Visitor:
    """One browser tab.

    Attributes:
        page: to look at and to act on.
        complaints: errors and warnings of the page, violations of its policy, requests to others.
        expected: beginnings of complaints that a test brings about itself.
    """

    def __init__(self, page: Page, server: RunningServer) -> None:
        self.page = page
        self.server = server
        self.complaints: list[str] = []
        self.expected: list[str] = []
        self._own = {urlsplit(server.url).netloc}
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"{error}"))
        page.on("request", self._asked)
        page.on("websocket", lambda socket: self._visited(socket.url))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))

    def also_at(self, url: str) -> None:
        """The server can be had at this address too."""
        self._own.add(urlsplit(url).netloc)

    async def open(self, path: str = "/console", *, at: str | None = None) -> None:
        """Go to a page, not signed in."""
        if at is not None:
            self.also_at(at)
        await self.page.goto((at or self.server.url) + path)

    async def enter(self, *, at: str | None = None) -> None:
        """Open the console and sign in."""
        await self.open(at=at)
        await self.page.get_by_label("Access token").fill(self.server.token())
        await self.page.get_by_role("button", name="Sign in").click()
        await self.message.wait_for()

    async def ask(self, text: str) -> Locator:
        """Send a message; returns its turn, which has just begun."""
        await self.message.fill(text)
        await self.message.press("Enter")
        return self.page.locator(".turn").last

    async def over(self, turn: Locator) -> None:
        """Wait until an answer is complete."""
        await turn.locator("[aria-busy=false] .receipt").wait_for()

    async def go(self, section: str) -> None:
        """Open a section."""
        await self.page.get_by_role("navigation").get_by_role("link", name=section).click()

    async def photograph(self, name: str) -> None:
        """Keep a picture of what is seen, for whoever looks at the pages."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")

    @property
    def message(self) -> Locator:
        """Where one writes."""
        return self.page.get_by_role("textbox", name="Message")

    def check(self) -> None:
        """Raise when something happened that must not."""
        told = [each for each in self.complaints if not any(map(each.startswith, self.expected))]
        assert told == []

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _asked(self, request: Request) -> None:
        self._visited(request.url)

    def _visited(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.netloc not in self._own:
            self.complaints.append(f"asked {parts.netloc}")
        if self.server.token().split(".")[0] in url and "token" in url:
            self.complaints.append(f"a token in {parts.path}")


def chromium() -> str:
    """Debian's browser. Playwright's own is never fetched."""
    found = shutil.which("chromium")
    assert found, "There is no chromium: scripts/test-console installs it."
    return found


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """A browser without a window."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=chromium(), args=_ARGUMENTS, headless=True
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def visiting(
    browser: Browser,
    server: RunningServer,
    *,
    size: tuple[int, int] = WIDE,
    scheme: Scheme = "light",
    **options: Any,
) -> AsyncIterator[Visitor]:
    """A tab in a profile of its own; at its end nothing may have gone wrong in it."""
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, **options
    )
    await context.add_init_script(_TELL_VIOLATIONS)
    context.set_default_timeout(PATIENCE)
    visitor = Visitor(await context.new_page(), server)
    try:
        yield visitor
    finally:
        await context.close()
    visitor.check()
