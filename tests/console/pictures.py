"""Pictures that somebody brings to the page, and models that do or do not see them."""

from __future__ import annotations

import base64
import io

from PIL import Image

from tests.console.visitor import Visitor

SEES = "Google: Gemma 3 27B"
BLIND = "Qwen: Qwen3 32B"
_BROUGHT = """([kind, name, type, encoded]) => {
  const bytes = Uint8Array.from(atob(encoded), (each) => each.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type }));
  const options = { bubbles: true, cancelable: true };
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { ...options, clipboardData: data })
    : new DragEvent("drop", { ...options, dataTransfer: data });
  document.getElementById("message").dispatchEvent(event);
}"""


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 30), *, noise: bool = False) -> bytes:
    """A picture; with noise it is about as large as it can be."""
    held = io.BytesIO()
    if noise:
        image = Image.effect_noise(size, 90).convert("RGB")
    else:
        image = Image.new("RGB", size, (10, 120, 90))
    image.save(held, kind)
    return held.getvalue()


async def choose(visitor: Visitor, model: str) -> None:
    """Choose a model."""
    await visitor.page.get_by_label("Model", exact=True).select_option(label=model)


async def bring(visitor: Visitor, how: str, name: str, content: bytes, media_type: str) -> None:
    """Paste or drop a file."""
    encoded = base64.b64encode(content).decode()
    await visitor.page.evaluate(_BROUGHT, [how, name, media_type, encoded])
