"""What people do all day: each deed by somebody, checked as a careful client would check it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import aiohttp

from tests.harness import MODEL
from tests.media.recordings import speech
from trials.people import Lost, Person, ending, sse, text_of
from trials.rig import CHECKOUT, Trial

_KEPT = CHECKOUT / "tests" / "media" / "files" / "kept"
_FILES = ("report.docx", "book.xlsx", "deck.pptx", "report.odt", "columns.pdf", "report.rtf")
_WORDS = [
    "stream",
    "river",
    "stone",
    "cloud",
    "forest",
    "harbour",
    "winter",
    "letter",
    "garden",
    "bridge",
]


class Traffic:
    """Deeds of many people, chosen by chance.

    Attributes:
        done: how often each deed went well.
        lost: what did not, in words.
    """

    def __init__(self, trial: Trial, crowd: list[Person], *, seed: int = 6) -> None:
        self.done: Counter[str] = Counter()
        self.lost: list[str] = []
        self._trial = trial
        self._crowd = crowd
        self._chance = random.Random(seed)
        self._is_over = False
        self._sound = speech()
        self._deeds: dict[Callable[[Person], Awaitable[None]], int] = {
            self.chat: 30,
            self.socket_chat: 20,
            self.resumed: 10,
            self.socket_resumed: 6,
            self.left: 4,
            self.stopped: 4,
            self.file: 4,
            self.picture: 2,
            self.recording: 2,
            self.spoken: 3,
            self.status: 10,
            self.lists: 5,
        }

    async def run(self, hands: int, pause: float) -> None:
        """So many people at a time, each resting a little between deeds, until `stop`."""
        await asyncio.gather(*(self._live(pause) for _ in range(hands)))

    def stop(self) -> None:
        """Begin no further deed."""
        self._is_over = True

    async def each_once(self) -> None:
        """Every deed once, for a warm start and for a short trial."""
        for deed in self._deeds:
            await self.do(deed)

    async def _live(self, pause: float) -> None:
        deeds, weights = list(self._deeds), list(self._deeds.values())
        while not self._is_over:
            await self.do(self._chance.choices(deeds, weights)[0])
            await asyncio.sleep(self._chance.uniform(0, 2 * pause))

    async def do(self, deed: Callable[[Person], Awaitable[None]]) -> None:
        name = deed.__name__
        try:
            async with asyncio.timeout(90):
                await deed(self._chance.choice(self._crowd))
            self.done[name] += 1
        except (Lost, aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            self.lost.append(f"{name}: {type(error).__name__} {error}")

    # Chat.

    async def chat(self, person: Person) -> None:
        message = self._message()
        async with self._post("/v1/ai/chat", person, json=_turn(message)) as answer:
            _well(answer)
            self._check_whole([event async for _, event in sse(answer)], message)

    async def socket_chat(self, person: Person) -> None:
        async with self._socket(person) as socket:
            for _ in range(self._chance.randint(1, 3)):
                message = self._message()
                await socket.send_json(_turn(message))
                self._check_whole(await _read_turn(socket), message)

    async def resumed(self, person: Person) -> None:
        message, events = self._message(), list[Any]()
        async with self._post("/v1/ai/chat", person, json=_turn(message)) as answer:
            _well(answer)
            last = ""
            async for name, event in sse(answer):
                events.append(event)
                last = name
                if len(events) == 4:
                    break
            answer.close()
        stream = last.partition(":")[0]
        headers = {**person.headers, "Last-Event-ID": last}
        url = f"{self._trial.url}/v1/ai/chat/streams/{stream}"
        async with self._trial.client.get(url, headers=headers) as answer:
            _well(answer)
            events += [event async for _, event in sse(answer)]
        self._check_whole(events, message)

    async def socket_resumed(self, person: Person) -> None:
        message, events = self._message(), list[Any]()
        async with self._socket(person) as socket:
            await socket.send_json(_turn(message))
            while len(events) < 4:
                events.append(await socket.receive_json())
        stream = events[0]["stream"]["id"]
        async with self._socket(person) as socket:
            await socket.send_json({"type": "resume", "stream": stream, "after": len(events)})
            events += await _read_turn(socket)
        self._check_whole(events, message)

    async def left(self, person: Person) -> None:
        async with self._post("/v1/ai/chat", person, json=_turn(self._message())) as answer:
            _well(answer)
            async for _ in sse(answer):
                break
            answer.close()

    async def stopped(self, person: Person) -> None:
        async with self._post("/v1/ai/chat", person, json=_turn(self._message())) as answer:
            _well(answer)
            events: list[Any] = []
            async for name, event in sse(answer):
                events.append(event)
                if len(events) == 1:
                    url = f"{self._trial.url}/v1/ai/chat/streams/{name.partition(':')[0]}"
                    async with self._trial.client.delete(url, headers=person.headers) as said:
                        _well(said)
        ending(events)

    # Everything else.

    async def file(self, person: Person) -> None:
        name = self._chance.choice(_FILES)
        form = aiohttp.FormData()
        form.add_field("file", (_KEPT / name).read_bytes(), filename=name)
        async with self._post("/v1/ai/convert-file", person, data=form) as answer:
            _well(answer)
            if not (await answer.json())["data"]["markdown"].strip():
                raise Lost(f"{name} became nothing")

    async def picture(self, person: Person) -> None:
        wanted = {"prompt": self._message(), "custom_width": 64, "custom_height": 64}
        async with self._post("/v1/ai/generate-image", person, json=wanted) as answer:
            _well(answer)
            url = (await answer.json())["data"]["image_url"]
        async with self._trial.client.get(url) as picture:
            _well(picture)
            await picture.read()

    async def recording(self, person: Person) -> None:
        form = aiohttp.FormData()
        form.add_field("audio_file", self._sound, filename="said.wav")
        async with self._post("/v1/ai/transcribe-audio", person, data=form) as answer:
            _well(answer)
            if not (await answer.json())["data"]["text"]:
                raise Lost("nothing was heard")

    async def spoken(self, person: Person) -> None:
        wanted = {"text": self._message(), "voice_id": "Ashley"}
        async with self._post("/v1/ai/inworld-tts", person, json=wanted) as answer:
            _well(answer)
            if not await answer.read():
                raise Lost("silence")

    async def status(self, person: Person) -> None:
        for path in ("/v1/user/status", "/v1/user/usage"):
            async with self._get(path, person) as answer:
                _well(answer)
                await answer.read()

    async def lists(self, person: Person) -> None:
        for path in ("/v1/models_info", "/v1/ai/config", "/v1/ai/chat/streams", "/health"):
            async with self._get(path, person) as answer:
                _well(answer)
                await answer.read()

    # Means.

    def _message(self) -> str:
        words = " ".join(self._chance.choices(_WORDS, k=self._chance.randint(5, 25)))
        return f"{words} {uuid4().hex[:8]}"

    def _check_whole(self, events: list[Any], message: str) -> None:
        """Upstream repeats the question's words and its length: all of them must be there."""
        end = ending(events)
        if end != "done":
            raise Lost(f"a turn ended with {end}")
        words = " ".join(message.split()[-40:])
        if words not in (text := text_of(events)) or not text.endswith("letters."):
            raise Lost("an answer with a hole")

    def _post(self, path: str, person: Person, **options: Any) -> Any:
        url = f"{self._trial.url}{path}"
        return self._trial.client.post(url, headers=person.headers, **options)

    def _get(self, path: str, person: Person) -> Any:
        return self._trial.client.get(f"{self._trial.url}{path}", headers=person.headers)

    def _socket(self, person: Person) -> Any:
        url = f"{self._trial.url}/v1/ai/chat/ws"
        return self._trial.client.ws_connect(url, headers=person.headers)


def _turn(message: str) -> dict[str, Any]:
    return {"model_id": MODEL, "message": message, "max_tokens": 400}


def _well(answer: aiohttp.ClientResponse) -> None:
    if answer.status != 200:
        raise Lost(f"{answer.method} {answer.url.path} answered {answer.status}")


async def _read_turn(socket: aiohttp.ClientWebSocketResponse) -> list[Any]:
    events: list[Any] = []
    while not events or not ({"done", "error"} & events[-1].keys()):
        events.append(await socket.receive_json())
    return events
