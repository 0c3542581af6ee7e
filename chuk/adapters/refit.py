"""Makes somebody else's picture what we promise: whole, of the size asked for, not too large."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from chuk.adapters.children import ChildFailed, ChildRefused, RunOnce
from chuk.errors import ProviderError
from chuk.media.pictures import MAX_BYTES, PictureKind

_TIMEOUT = 30.0
_CPU = 20.0
_MEMORY = 2**30


async def refitted(
    data: bytes, *, width: int, height: int, run_once: RunOnce
) -> tuple[bytes, PictureKind]:
    """The same picture with this many pixels, in at most `MAX_BYTES`; decoded in a child.

    Raises:
        ProviderError: it is no picture, or a damaged one.
    """
    with tempfile.TemporaryDirectory(prefix="chuk-refit-") as folder:
        given, made = Path(folder, "given"), Path(folder, "made")
        await asyncio.to_thread(given.write_bytes, data)
        request = {
            "given": str(given),
            "made": str(made),
            "width": width,
            "height": height,
            "max_bytes": MAX_BYTES,
        }
        try:
            await run_once(
                "chuk.adapters.refit_child", request, timeout=_TIMEOUT, memory=_MEMORY, cpu=_CPU
            )
        except (ChildFailed, ChildRefused):
            raise ProviderError from None
        return await asyncio.to_thread(made.read_bytes), PictureKind.JPEG
