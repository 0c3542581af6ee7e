"""Somebody who looks at us."""

from __future__ import annotations

from PIL import Image, ImageChops

from chuk.adapters.sketching.canvas import Canvas, Colour, Point, mix
from chuk.adapters.sketching.palettes import Palette
from chuk.adapters.sketching.words import Theme

_SKINS: tuple[Colour, ...] = ((246, 208, 180), (226, 172, 136), (176, 120, 86), (112, 74, 54))
_HAIRS: tuple[Colour, ...] = (
    (44, 32, 34),
    (84, 54, 40),
    (170, 118, 62),
    (150, 66, 40),
    (58, 58, 72),
)
_CLOTHES: tuple[Colour, ...] = (
    (176, 60, 66),
    (44, 92, 132),
    (62, 116, 98),
    (196, 142, 62),
    (98, 68, 126),
)


def paint_portrait(canvas: Canvas, theme: Theme, palette: Palette) -> None:
    """Head and shoulders, flat as on a poster, lit from one side."""
    rng = canvas.rng
    skin, hair = rng.choice(_SKINS), rng.choice(_HAIRS)
    cloth = theme.colours[0] if theme.colours else rng.choice(_CLOTHES)
    if palette.is_dark:
        skin, hair, cloth = (mix(each, palette.haze, 0.3) for each in (skin, hair, cloth))
    long_hair = rng.random() < 0.6
    body = _Body(canvas, 0.5, 0.44)
    canvas.glow(0.5, 0.4, 0.75, palette.light, 0.35)
    shade = mix(skin, (70, 30, 60), 0.32)
    if long_hair:
        back = body.closed(
            [(0, -0.32), (0.19, -0.26), (0.245, -0.08), (0.25, 0.12), (0.29, 0.36), (0.16, 0.42)]
        )
        canvas.fill(back, mix(hair, palette.near, 0.3), mix(hair, palette.near, 0.55), 0.1, 0.9)
    shoulders = body.closed(
        [(0, 0.27), (0.09, 0.29), (0.2, 0.34), (0.36, 0.41), (0.44, 0.52), (0.48, 0.9)]
    )
    canvas.fill(shoulders, mix(cloth, palette.light, 0.12), mix(cloth, palette.near, 0.45), 0.65, 1)
    neck = body.closed(
        [(0, 0.08), (0.085, 0.1), (0.088, 0.24), (0.13, 0.31), (0.06, 0.36), (0, 0.38)]
    )
    canvas.fill(neck, shade)
    face = body.closed(
        [
            (0, -0.235),
            (0.1, -0.22),
            (0.158, -0.14),
            (0.168, -0.02),
            (0.148, 0.09),
            (0.09, 0.175),
            (0.035, 0.2),
            (0, 0.203),
        ]
    )
    canvas.fill(face, skin)
    # The side away from the light.
    side = canvas.mask()
    side.polygon(
        [
            body.at(*p)
            for p in [
                (0.0, -0.3),
                (0.03, -0.06),
                (0.05, 0.0),
                (0.02, 0.04),
                (0.025, 0.12),
                (0.0, 0.25),
                (0.3, 0.25),
                (0.3, -0.3),
            ]
        ]
    )
    dim = ImageChops.multiply(side.done(soft=0.012, opacity=0.55), face)
    canvas.image.paste(shade, (0, 0), dim)
    for x in (-0.09, 0.09):
        blush = canvas.mask()
        blush.oval(*body.at(x, 0.045), 0.036, 0.024)
        canvas.image.paste((222, 104, 104), (0, 0), blush.done(soft=0.014, opacity=0.24))
    _features(canvas, body, hair, skin)
    _hair(canvas, body, hair, palette, long_hair=long_hair)


class _Body:
    """Places on somebody who looks at us: to the side and down from between the eyes."""

    def __init__(self, canvas: Canvas, x: float, y: float) -> None:
        self._canvas, self._x, self._y = canvas, x, y

    def at(self, right: float, down: float) -> Point:
        return self._x + right * self._canvas.across, self._y + down * self._canvas.along

    def closed(self, half: list[Point]) -> Image.Image:
        """The symmetric shape whose right half's outline is this, as a smooth curve."""
        curve = smooth(half)
        shape = self._canvas.mask()
        shape.polygon(
            [*(self.at(x, y) for x, y in curve), *(self.at(-x, y) for x, y in reversed(curve))]
        )
        return shape.done()


def smooth(points: list[Point]) -> list[Point]:
    """A curve through all points (Catmull-Rom)."""
    ends = [points[0], *points, points[-1]]
    curve: list[Point] = []
    for before, start, end, after in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        for step in range(12):
            t = step / 12
            place = []
            for a, b, c, d in zip(before, start, end, after, strict=True):
                place.append(
                    0.5
                    * (
                        2 * b
                        + (c - a) * t
                        + (2 * a - 5 * b + 4 * c - d) * t**2
                        + (3 * b - a - 3 * c + d) * t**3
                    )
                )
            curve.append((place[0], place[1]))
    return [*curve, points[-1]]


def _features(canvas: Canvas, body: _Body, hair: Colour, skin: Colour) -> None:
    """Eyes, brows, nose and a calm mouth."""
    ink = mix(hair, (24, 16, 24), 0.6)
    white, iris, lids = canvas.mask(), canvas.mask(), canvas.mask()
    for side in (-1, 1):
        x = side * 0.066
        white.oval(*body.at(x, 0.0), 0.03, 0.0135)
        iris.disc(*body.at(x, -0.0005), 0.0125)
        arc = [
            (x + side * 0.034 * t, -0.013 - 0.006 * (1 - t * t) + 0.006 * max(0, t))
            for t in (i / 8 - 1 for i in range(17))
        ]
        lids.line([body.at(*p) for p in arc], 0.0055)
        brow = [
            (x + side * 0.044 * t, -0.046 - 0.009 * (1 - t * t))
            for t in (i / 8 - 1 for i in range(17))
        ]
        lids.line([body.at(*p) for p in brow], 0.0085)
    canvas.fill(white.done(), mix(skin, (255, 255, 255), 0.8))
    looked = ImageChops.multiply(iris.done(), white.done())
    canvas.fill(looked, canvas.rng.choice(((70, 50, 40), (60, 96, 120), (74, 104, 74))))
    pupils = canvas.mask()
    for side in (-1, 1):
        pupils.disc(*body.at(side * 0.066, -0.0005), 0.0058)
    canvas.fill(pupils.done(), (16, 12, 16))
    canvas.fill(lids.done(opacity=0.9), ink)
    nose = canvas.mask()
    nose.line(
        [
            body.at(*p)
            for p in smooth(
                [(0.012, 0.0), (0.02, 0.05), (0.024, 0.072), (0.008, 0.082), (-0.008, 0.08)]
            )
        ],
        0.0042,
    )
    canvas.fill(nose.done(opacity=0.55), mix(skin, (60, 20, 30), 0.6))
    lips = canvas.mask()
    upper = smooth([(-0.048, 0.122), (-0.014, 0.112), (0, 0.116), (0.014, 0.112), (0.048, 0.122)])
    lower = smooth([(0.048, 0.122), (0.02, 0.139), (0, 0.142), (-0.02, 0.139), (-0.048, 0.122)])
    lips.polygon([body.at(*p) for p in [*upper, *lower]])
    canvas.fill(lips.done(), mix(skin, (186, 52, 66), 0.62))
    gap = canvas.mask()
    gap.line([body.at(*p) for p in smooth([(-0.046, 0.122), (0, 0.125), (0.046, 0.122)])], 0.0032)
    canvas.fill(gap.done(opacity=0.7), mix(skin, (80, 16, 30), 0.8))


def _hair(canvas: Canvas, body: _Body, hair: Colour, palette: Palette, *, long_hair: bool) -> None:
    """What falls over the forehead, and the strands on it."""
    front = canvas.mask()
    outer = [
        (-0.2, 0.02),
        (-0.2, -0.16),
        (-0.12, -0.29),
        (0.02, -0.325),
        (0.15, -0.28),
        (0.21, -0.15),
        (0.2, 0.02),
    ]
    inner = [
        (0.165, 0.0),
        (0.15, -0.12),
        (0.06, -0.2),
        (-0.03, -0.17),
        (-0.12, -0.1),
        (-0.162, 0.0),
    ]
    if long_hair:
        outer = [(-0.235, 0.3), *outer, (0.235, 0.3)]
        inner = [(0.17, 0.26), *inner, (-0.17, 0.26)]
    front.polygon([body.at(*p) for p in [*smooth(outer), *smooth(inner)]])
    shape = front.done()
    canvas.fill(shape, mix(hair, palette.light, 0.16), mix(hair, palette.near, 0.3), 0.1, 0.75)
    strands = canvas.mask()
    for i in range(26):
        lean = i / 25
        end_x, end_y = -0.22 + 0.44 * lean, 0.3 if long_hair else 0.0
        path = smooth(
            [
                (-0.03 + 0.05 * lean, -0.31),
                (end_x * 0.8, -0.24),
                (end_x, -0.1),
                (end_x * 0.95, end_y),
            ]
        )
        strands.line([body.at(*p) for p in path], 0.002)
    shine = ImageChops.multiply(strands.done(opacity=0.35), shape)
    canvas.image.paste(mix(hair, palette.light, 0.55), (0, 0), shine)
