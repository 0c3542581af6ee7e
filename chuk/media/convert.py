"""Files made Markdown: hold, read, settle.

A file is read by a process of its own, which cannot hear: what it finds of sound is transcribed
as any recording is, and billed as one too.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

from chuk.counts import OTHER, Counts
from chuk.credits.ledger import Basis, Operation, Outcome, UsageRecord
from chuk.credits.money import micro_euro_ceiling
from chuk.credits.service import Credits, Order
from chuk.errors import ChukError, CorruptFile, UnsupportedFormat
from chuk.media.cutting import cut_at_line
from chuk.media.formats import AUDIO, Format, detect_file, ending_of
from chuk.media.jobs import Jobs
from chuk.media.ports import Document, FileReader, Listener, Sound

SUPPORTED = tuple(known.value for known in Format)
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Markdown:
    """A file that was read.

    Attributes:
        text: never empty; within `cutting.MOST_UNITS`.
        title: the document's own.
        pages: of a file that has some, where they were counted.
        is_truncated: whether the file has more than the text.
    """

    text: str
    format: Format
    title: str | None
    pages: int | None
    is_truncated: bool


class Conversions:
    """Converts files, and has them paid for.

    Args:
        listener: hears what is said in recordings.
        price: euros for one file; 0: free of charge, also for those who have no credits.
        patience: seconds after which no further recording of a file is listened to.

    Attributes:
        outcomes: of files so far, by format and the code of what went wrong: `unknown` and
            `other` stand for formats that are not read here and for no code of ours.
    """

    def __init__(
        self,
        reader: FileReader,
        listener: Listener,
        jobs: Jobs,
        credit_service: Credits,
        *,
        price: Decimal,
        patience: float,
    ) -> None:
        self.outcomes = Counts()
        self._reader = reader
        self._listener = listener
        self._jobs = jobs
        self._credits = credit_service
        self._price = micro_euro_ceiling(price)
        self._patience = patience

    async def convert(
        self, user_id: UUID, path: Path, name: str, api_key_id: UUID | None = None
    ) -> Markdown:
        """Read one file. Being cancelled ends the work at once, and nothing is taken.

        Args:
            name: what its owner calls it.
            api_key_id: the personal API key that asked; None: the signed-in user.

        Raises:
            UnsupportedFormat: it is nothing that is read here.
            CorruptFile: it is damaged, encrypted, or there is nothing in it.
            ServiceUnavailable: too many files wait.
            ConversionFailed: it is our own fault.
            ChukError: as `Credits.open`, and for recordings as `Listener.transcript`.
        """
        found = await asyncio.to_thread(detect_file, path, name)
        code = OTHER
        try:
            markdown = await self._paid(user_id, path, name, found, api_key_id)
            code = "OK"
            return markdown
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        except ChukError as error:
            code = error.code
            raise
        finally:
            self.outcomes.add("unknown" if found is None else found.value, code)

    async def _paid(
        self,
        user_id: UUID,
        path: Path,
        name: str,
        found: Format | None,
        api_key_id: UUID | None,
    ) -> Markdown:
        if found is None:
            raise UnsupportedFormat(ending_of(name), SUPPORTED)
        order = self._order(user_id, api_key_id)
        async with self._credits.hold(order) as payment:
            markdown = await self._read(order, path, found, name)
            await payment.settle(self._price, self._usage(order, markdown))
        return markdown

    async def _read(self, order: Order, path: Path, found: Format, name: str) -> Markdown:
        if found in AUDIO:
            said = await self._said(order, Sound(path, found))
            if not said:
                raise CorruptFile("No speech was found in this recording.")
            return await _bounded(f"# Transcript\n\n{said}", found)
        async with AsyncExitStack() as stack:
            # Only reading takes a place: listening has bounds of its own.
            async with self._jobs.slot(order.user_id):
                document = await stack.enter_async_context(
                    self._reader.read(path, kind=found, name=name)
                )
            parts, is_whole = await self._heard(order, document)
        text = "\n\n".join(part for part in parts if part)
        if not text.strip():
            raise CorruptFile("No text was found in this file.")
        markdown = await _bounded(text, found)
        return replace(
            markdown,
            title=document.title,
            pages=document.pages,
            is_truncated=markdown.is_truncated or document.is_truncated or not is_whole,
        )

    async def _said(self, order: Order, sound: Sound) -> str:
        """What a recording says, paid for as the file is."""
        said = await self._listener.transcript(order.user_id, sound, order.api_key_id)
        return said.strip()

    async def _heard(self, order: Order, document: Document) -> tuple[list[str], bool]:
        """All parts as texts, and whether there was time for every recording.

        One that cannot be heard, or not be paid, is not the end of the file: why is said in its
        place.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + self._patience
        parts: list[str] = []
        is_whole = True
        for part in document.parts:
            if isinstance(part, str):
                parts.append(part.strip("\n"))
            elif clock() >= until:
                is_whole = False
                parts.append("*There was no time to listen to this recording.*")
            else:
                try:
                    said = await self._said(order, part)
                except ChukError as error:
                    said = f"*{error.message}*"
                parts.append(said or "*No speech was found in this recording.*")
        return parts, is_whole

    def _order(self, user_id: UUID, api_key_id: UUID | None) -> Order:
        return Order(
            id=f"doc_{uuid4().hex}",
            user_id=user_id,
            operation=Operation.CONVERSION,
            model_id="file-to-markdown",
            provider_slug="local",
            at_most=self._price,
            at_least=self._price,
            is_zdr=True,
            api_key_id=api_key_id,
        )

    def _usage(self, order: Order, markdown: Markdown) -> UsageRecord:
        return UsageRecord(
            model_id=order.model_id,
            provider_slug=order.provider_slug,
            prompt_tokens=0,
            completion_tokens=0,
            # About what the text will count as in a prompt.
            total_tokens=len(markdown.text) // _CHARACTERS_PER_TOKEN + 1,
            cost_usd=self._credits.prices.in_dollars(self._price),
            outcome=Outcome.COMPLETED,
            basis=Basis.ESTIMATE if self._price else Basis.NOTHING,
            is_zdr=True,
        )


async def _bounded(text: str, found: Format) -> Markdown:
    # A file's text may be many megabytes: not on the event loop.
    kept, is_cut = await asyncio.to_thread(cut_at_line, text)
    return Markdown(kept, found, None, None, is_cut)
