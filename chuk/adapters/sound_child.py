"""Decodes one recording; run as `chuk.adapters.child` says.

A request has `path`, `format` (of `chuk.media.formats`), `most_seconds`, and `to`: where to write
what was decoded, in the `container` (None: samples alone), or None. The answer has `seconds`, and
`is_silent`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from chuk.errors import CorruptFile

RATE = 16_000
"""Samples a second: what recognisers listen to."""

# FFmpeg is told what to expect: left to itself it would take a playlist, and open what it names.
_DEMUXERS = {
    "mp3": "mp3",
    "wav": "wav",
    "m4a": "mp4",
    "aac": "aac",
    "flac": "flac",
    "ogg": "ogg",
    "webm": "matroska",
}
# Of 32768. What lies below is nothing but rounding.
_LOUDEST_SILENCE = 8
_SAMPLE = 2
_NO_SOUND = "There is no sound in this file."


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Decode the recording, once and to its end.

    Raises:
        CorruptFile: there is no sound in it that can be decoded.
    """
    most_samples = (request["most_seconds"] + 1) * RATE
    samples, is_silent = 0, True
    with Path(request["path"]).open("rb") as file, _writing(request) as write:
        for frame in _frames(file, _DEMUXERS[request["format"]]):
            frame.pts = samples
            samples += frame.samples
            write(frame)
            is_silent = is_silent and not _is_loud(frame)
            if samples >= most_samples:
                break
        if not samples:
            raise CorruptFile(_NO_SOUND)
    return {"seconds": samples / RATE, "is_silent": is_silent}


@contextmanager
def _writing(request: dict[str, Any]) -> Iterator[Callable[[AudioFrame], object]]:
    """What takes the samples while the block runs."""
    if request["to"] is None:
        yield lambda frame: None
    elif request["container"] is None:
        with Path(request["to"]).open("wb") as file:
            yield lambda frame: file.write(_bytes(frame))
    else:
        name = request["container"]
        with av.open(request["to"], "w", format=name) as container:
            stream = container.add_stream(name, rate=RATE, layout="mono")
            assert isinstance(stream, AudioStream)
            yield lambda frame: container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


def _frames(file: BinaryIO, demuxer: str) -> Iterator[AudioFrame]:
    """The first sound of a file, as 16-bit mono samples. What cannot be decoded is left out."""
    try:
        with av.open(file, "r", format=demuxer, metadata_errors="ignore") as container:
            yield from _resampled(_decoded(container))
    except av.error.FFmpegError:
        raise CorruptFile from None


def _decoded(container: InputContainer) -> Iterator[AudioFrame]:
    streams = container.streams.audio
    if not streams:
        raise CorruptFile(_NO_SOUND)
    good = bad = 0
    for packet in container.demux(streams[0]):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            bad += 1
            continue
        for frame in frames:
            if frame.samples:
                good += 1
                yield frame
    if bad > good:
        raise CorruptFile


def _resampled(frames: Iterator[AudioFrame]) -> Iterator[AudioFrame]:
    resampler: av.AudioResampler | None = None
    kind: tuple[str, str, int] | None = None
    for frame in frames:
        found = (frame.format.name, frame.layout.name, frame.sample_rate)
        if found != kind and resampler is not None:
            # A stream may change in its middle.
            yield from resampler.resample(None)
            resampler = None
        if resampler is None:
            kind = found
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        frame.pts = None
        yield from resampler.resample(frame)
    if resampler is not None:
        yield from resampler.resample(None)


def _bytes(frame: AudioFrame) -> memoryview:
    return memoryview(frame.planes[0])[: frame.samples * _SAMPLE]


def _is_loud(frame: AudioFrame) -> bool:
    samples = _bytes(frame).cast("h")
    return max(samples) > _LOUDEST_SILENCE or min(samples) < -_LOUDEST_SILENCE
