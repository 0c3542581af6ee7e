"""The embedded renderer: the right size, the same again for the same seed, and worth looking at."""

from __future__ import annotations

import asyncio
import io
from random import Random

import pytest
from PIL import Image

from chuk.adapters.sketch import Sketch
from chuk.adapters.sketching.picture import draw
from chuk.adapters.sketching.words import theme_of
from chuk.errors import GenerationFailed
from chuk.media.pictures import MAX_BYTES, PictureKind
from chuk.media.ports import Commission
from tests.forks import run_once

SUBJECTS = [
    "mountains at sunset",
    "a calm lake with mountains, dawn",
    "a sailboat on the sea",
    "a lighthouse by the sea at night",
    "misty forest in the rain",
    "snowy pine forest, winter night, aurora",
    "city skyline at night",
    "cyberpunk street, neon",
    "desert dunes",
    "a red rose",
    "portrait of a woman in a forest",
    "a cat on a hill",
    "a house in a meadow",
    "an old oak tree",
    "galaxy with planets",
    "abstract shapes in blue",
    "цвет и свет",
    "🙂",
]


async def sketched(prompt: str, *, width: int = 256, height: int = 192, seed: int = 1) -> bytes:
    """What comes out of the real process."""
    return (await Sketch(run_once=run_once).paint(Commission(prompt, width, height, seed))).data


def colours(picture: Image.Image) -> int:
    """How many clearly different colours it has."""
    return len(picture.resize((64, 64)).quantize(64).convert("RGB").getcolors(4_096) or [])


async def test_it_is_a_jpeg_of_the_size_asked_for() -> None:
    painting = await Sketch(run_once=run_once).paint(Commission("a fox in the snow", 320, 200, 3))
    assert (painting.kind, painting.seed) == (PictureKind.JPEG, 3)
    picture = Image.open(io.BytesIO(painting.data))
    picture.load()
    assert (picture.format, picture.size, picture.mode) == ("JPEG", (320, 200), "RGB")


async def test_the_same_seed_and_prompt_give_the_same_bytes() -> None:
    one, again, other_seed, other_prompt = await asyncio.gather(
        sketched("mountains"),
        sketched("mountains"),
        sketched("mountains", seed=2),
        sketched("mountains at night"),
    )
    assert one == again
    assert len({one, other_seed, other_prompt}) == 3


@pytest.mark.parametrize("size", [(64, 64), (64, 2_048), (2_048, 64), (65, 127), (1_024, 576)])
async def test_every_size_can_be_drawn(size: tuple[int, int]) -> None:
    data = await sketched("a boat on the sea", width=size[0], height=size[1])
    assert Image.open(io.BytesIO(data)).size == size
    assert len(data) <= MAX_BYTES


async def test_the_largest_picture_is_not_too_large() -> None:
    data = await sketched("snowy forest in the rain", width=2_048, height=2_048)
    assert Image.open(io.BytesIO(data)).size == (2_048, 2_048)
    assert len(data) <= MAX_BYTES


@pytest.mark.parametrize("prompt", SUBJECTS)
def test_there_is_something_to_see(prompt: str) -> None:
    for seed in (1, 2, 3):
        picture = draw(prompt, seed, 160, 120)
        assert picture.size == (160, 120)
        assert colours(picture) >= 24
        low, high = picture.convert("L").getextrema()
        assert high - low > 60


def test_the_words_decide() -> None:
    def theme(prompt: str) -> tuple[str, tuple[str, ...], str | None]:
        found = theme_of(prompt, Random(1))
        return found.hour, found.places, found.subject

    assert theme("The SEA at night") == ("night", ("sea",), None)
    assert theme("a cat in the city, sunset") == ("sunset", ("city",), "cat")
    assert theme("Berge im Nebel") == ("grey", ("mountains",), None)
    assert theme("portrait of a queen, morning") == ("dawn", (), "portrait")


def test_a_colour_that_is_named_is_seen() -> None:
    red = draw("a red abstract pattern", 4, 96, 96).resize((1, 1)).getpixel((0, 0))
    blue = draw("a blue abstract pattern", 4, 96, 96).resize((1, 1)).getpixel((0, 0))
    assert isinstance(red, tuple) and isinstance(blue, tuple)
    assert red[0] - red[2] > blue[0] - blue[2]


async def test_one_that_takes_too_long_is_our_own_failure() -> None:
    with pytest.raises(GenerationFailed):
        await Sketch(run_once=run_once, timeout=0.01).paint(Commission("a fox", 64, 64, 1))
