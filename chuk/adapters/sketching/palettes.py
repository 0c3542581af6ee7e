"""The light of an hour as colours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from chuk.adapters.sketching.canvas import Colour, Stops, mix

_TINT = 0.34


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours that belong together.

    Attributes:
        sky: from the top down to the horizon.
        haze: the air far away; distant things fade into it.
        near: things close by, in shade.
        leaf, sand, stone: the ground's own colours in this light.
        light: the sun or the moon, and whatever it falls on.
    """

    sky: Stops
    haze: Colour
    near: Colour
    leaf: Colour
    sand: Colour
    stone: Colour
    light: Colour
    is_dark: bool = False


HOURS: dict[str, tuple[Palette, ...]] = {
    "day": (
        Palette(
            sky=((0.0, (58, 122, 196)), (0.55, (128, 182, 226)), (1.0, (222, 236, 240))),
            haze=(198, 218, 230),
            near=(40, 66, 62),
            leaf=(96, 146, 74),
            sand=(226, 200, 150),
            stone=(98, 112, 134),
            light=(255, 248, 224),
        ),
        Palette(
            sky=((0.0, (44, 132, 178)), (0.6, (144, 206, 214)), (1.0, (240, 238, 214))),
            haze=(212, 226, 216),
            near=(30, 70, 70),
            leaf=(120, 160, 70),
            sand=(232, 206, 158),
            stone=(92, 120, 130),
            light=(255, 246, 210),
        ),
    ),
    "dawn": (
        Palette(
            sky=((0.0, (108, 124, 186)), (0.5, (206, 170, 200)), (1.0, (255, 218, 190))),
            haze=(240, 206, 200),
            near=(62, 60, 96),
            leaf=(128, 140, 110),
            sand=(230, 190, 170),
            stone=(126, 116, 156),
            light=(255, 232, 204),
        ),
        Palette(
            sky=((0.0, (92, 148, 184)), (0.5, (190, 206, 206)), (1.0, (252, 226, 186))),
            haze=(230, 220, 204),
            near=(44, 74, 92),
            leaf=(112, 146, 112),
            sand=(232, 204, 166),
            stone=(108, 128, 148),
            light=(255, 240, 208),
        ),
    ),
    "sunset": (
        Palette(
            sky=(
                (0.0, (44, 44, 104)),
                (0.4, (146, 72, 126)),
                (0.72, (238, 118, 92)),
                (1.0, (255, 202, 122)),
            ),
            haze=(250, 164, 112),
            near=(34, 22, 52),
            leaf=(98, 76, 70),
            sand=(220, 146, 98),
            stone=(112, 72, 112),
            light=(255, 226, 160),
        ),
        Palette(
            sky=(
                (0.0, (28, 62, 110)),
                (0.45, (110, 108, 150)),
                (0.75, (240, 150, 110)),
                (1.0, (255, 222, 158)),
            ),
            haze=(244, 180, 136),
            near=(26, 34, 60),
            leaf=(88, 90, 74),
            sand=(222, 160, 112),
            stone=(92, 84, 122),
            light=(255, 232, 176),
        ),
    ),
    "night": (
        Palette(
            sky=((0.0, (8, 12, 34)), (0.6, (24, 36, 82)), (1.0, (62, 78, 130))),
            haze=(58, 74, 124),
            near=(8, 12, 28),
            leaf=(28, 48, 60),
            sand=(70, 78, 112),
            stone=(40, 52, 92),
            light=(236, 238, 226),
            is_dark=True,
        ),
        Palette(
            sky=((0.0, (10, 10, 30)), (0.6, (40, 30, 78)), (1.0, (98, 66, 118))),
            haze=(84, 62, 112),
            near=(12, 8, 26),
            leaf=(36, 42, 62),
            sand=(88, 70, 104),
            stone=(54, 46, 92),
            light=(242, 232, 220),
            is_dark=True,
        ),
    ),
    "grey": (
        Palette(
            sky=((0.0, (84, 100, 116)), (0.6, (142, 156, 164)), (1.0, (200, 206, 204))),
            haze=(186, 194, 194),
            near=(36, 48, 54),
            leaf=(84, 108, 90),
            sand=(178, 170, 152),
            stone=(92, 104, 116),
            light=(240, 240, 232),
        ),
    ),
}


def palette_of(hour: str, tints: tuple[Colour, ...], rng: Random) -> Palette:
    """One of the hour's palettes, leaning to the first of the colours that were asked for."""
    palette = rng.choice(HOURS[hour])
    if not tints:
        return palette
    tint = tints[0]

    def leaning(colour: Colour, share: float = _TINT) -> Colour:
        return mix(colour, tint, share)

    return replace(
        palette,
        sky=tuple(
            (place, leaning(colour, _TINT * (1 - place / 2))) for place, colour in palette.sky
        ),
        haze=leaning(palette.haze),
        stone=leaning(palette.stone),
        light=leaning(palette.light, 0.12),
        near=leaning(palette.near, 0.18),
    )
