"""The embedded voice itself: Piper, run as `chuk.adapters.child` says, and the encoders after it.

A request has `text`, `encoding` and `sample_rate` of an `Utterance`, and `model`, the voice's file.
What is yielded is one file in pieces: sentence by sentence, each as soon as it is spoken.
"""

from __future__ import annotations

import importlib
import json
import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
from av.audio.stream import AudioStream

from chuk.adapters.wav import streamed_header
from chuk.errors import InvalidRequest
from chuk.media.utterance import AudioEncoding

_LONGEST_PASSAGE = 200
_LONGEST_PIECE = 65_536
# Where a passage had best end: after a sentence, after a part of one, between words.
_ENDS = tuple(map(re.compile, (r"[.!?…]['\")\]]*\s|[。！？\n]", r"[,;:]\s|[—–、，]", r"\s")))
_CONTAINERS = {
    # Its table of contents would have to be written last, at the front.
    AudioEncoding.MP3: ("mp3", "libmp3lame", 64_000, {"write_xing": "0", "id3v2_version": "0"}),
    # In microseconds: a page is held back until it is full.
    AudioEncoding.OGG_OPUS: ("ogg", "libopus", 32_000, {"page_duration": "200000"}),
}
_voices: dict[str, Any] = {}


class Writer(Protocol):
    """Makes one file of samples that come bit by bit."""

    def add(self, samples: av.AudioFrame) -> bytes:
        """What of the file is ready with these; may be empty."""
        ...

    def end(self) -> bytes:
        """The rest of the file."""
        ...


def stream(request: dict[str, Any]) -> Iterator[bytes]:
    """Speak a text.

    Raises:
        InvalidRequest: nothing of it can be spoken.
    """
    voice = _voice(request["model"])
    writer = make_writer(AudioEncoding(request["encoding"]), request["sample_rate"])
    place = 0
    for passage in passages(request["text"]):
        for sentence in voice.synthesize(passage):
            samples = sentence.audio_int16_array.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate = sentence.sample_rate
            frame.time_base, frame.pts = Fraction(1, sentence.sample_rate), place
            place += frame.samples
            yield from _cut(writer.add(frame))
    if not place:
        raise InvalidRequest.field("text", "Has nothing that can be spoken.")
    yield from _cut(writer.end())


def passages(text: str) -> Iterator[str]:
    """The text in parts that are quickly spoken, cut where it disturbs least."""
    # Two brackets would mark sounds instead of words, and the zero character ends a text.
    shown = "".join(" " if unicodedata.category(c) == "Cc" and c != "\n" else c for c in text)
    rest = shown.replace("[[", "[ [").strip()
    while len(rest) > _LONGEST_PASSAGE:
        window = rest[:_LONGEST_PASSAGE]
        ends = (max((found.end() for found in end.finditer(window)), default=0) for end in _ENDS)
        cut = next(filter(None, ends), _LONGEST_PASSAGE)
        yield rest[:cut]
        rest = rest[cut:].lstrip()
    if rest:
        yield rest


def make_writer(encoding: AudioEncoding, sample_rate: int) -> Writer:
    """What writes this kind of file."""
    if encoding is AudioEncoding.LINEAR16:
        return WavWriter(sample_rate)
    return EncodedWriter(encoding, sample_rate)


class WavWriter:
    """Sixteen bits a sample, behind a header without a length."""

    def __init__(self, sample_rate: int) -> None:
        self._head = streamed_header(sample_rate)
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=sample_rate)

    def add(self, samples: av.AudioFrame) -> bytes:
        """See `Writer.add`."""
        return self._written(samples)

    def end(self) -> bytes:
        """See `Writer.end`."""
        return self._written(None)

    def _written(self, samples: av.AudioFrame | None) -> bytes:
        head, self._head = self._head, b""
        frames = self._resampler.resample(samples)
        return head + b"".join(frame.to_ndarray().tobytes() for frame in frames)


class EncodedWriter:
    """A format of FFmpeg, into which the samples are also resampled."""

    def __init__(self, encoding: AudioEncoding, sample_rate: int) -> None:
        name, codec, bit_rate, options = _CONTAINERS[encoding]
        self._ready = bytearray()
        self._file = av.open(
            self, "w", format=name, container_options={**options, "flush_packets": "1"}
        )
        stream = self._file.add_stream(codec, rate=sample_rate, layout="mono")
        assert isinstance(stream, AudioStream)
        stream.bit_rate = bit_rate
        self._stream = stream

    def write(self, data: bytes) -> int:
        """The container's own output."""
        self._ready += data
        return len(data)

    def add(self, samples: av.AudioFrame) -> bytes:
        """See `Writer.add`."""
        self._file.mux(self._stream.encode(samples))
        return self._taken()

    def end(self) -> bytes:
        """See `Writer.end`."""
        self._file.mux(self._stream.encode(None))
        self._file.close()
        return self._taken()

    def _taken(self) -> bytes:
        taken = bytes(self._ready)
        self._ready.clear()
        return taken


def _cut(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), _LONGEST_PIECE):
        yield data[start : start + _LONGEST_PIECE]


def _voice(model: str) -> Any:
    """Piper with this voice, loaded once."""
    if model not in _voices:
        runtime = importlib.import_module("onnxruntime")
        piper, config = importlib.import_module("piper"), importlib.import_module("piper.config")
        options = runtime.SessionOptions()
        # More threads wait for each other: a sentence took a third longer with two.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        _voices[model] = piper.PiperVoice(
            session=runtime.InferenceSession(
                model, sess_options=options, providers=["CPUExecutionProvider"]
            ),
            config=config.PiperConfig.from_dict(json.loads(Path(f"{model}.json").read_text())),
        )
    return _voices[model]
