"""Files sent as the app sends them, and the processes that read them, watched from outside."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from aiohttp import FormData

from tests.harness import RunningServer

PATH = "/v1/ai/convert-file"
KEPT = Path(__file__).parents[1] / "media" / "files" / "kept"


async def convert(
    server: RunningServer,
    content: bytes,
    name: str = "file",
    *,
    user: UUID | None = None,
    **headers: str,
) -> tuple[int, Any]:
    """Status and bare body; the part says nothing of what it is, as the app's never does."""
    form = FormData(quote_fields=False)
    form.add_field(
        "file", io.BytesIO(content), filename=name, content_type="application/octet-stream"
    )
    own = {**server.bearer(user or uuid4()), "Accept": "application/json; profile=bare"}
    async with server.client.post(
        f"{server.url}{PATH}", data=form, headers={**own, **headers}
    ) as answer:
        return answer.status, await answer.json()


def code_of(body: Any) -> str:
    """The code of an error, in the bare profile."""
    assert body["detail"] == body["error"]["message"]
    code: str = body["error"]["code"]
    return code


def children() -> list[int]:
    """The processes that read files for this one: what forks them has loaded what they need."""
    mine = _children_of(os.getpid())
    helpers = [process for process in mine if _runs(process, b"chuk.adapters.fork_server_child")]
    forked = [child for helper in helpers for child in _children_of(helper)]
    return forked + [process for process in mine if _runs(process, b"chuk.adapters.child")]


def _children_of(parent: int) -> list[int]:
    found = []
    for process in Path("/proc").iterdir():
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and fields[0] not in "ZX":
                found.append(int(process.name))
        except (OSError, IndexError, ValueError):
            # It is no process, or not any more.
            continue
    return found


def _runs(process: int, module: bytes) -> bool:
    try:
        return module in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
