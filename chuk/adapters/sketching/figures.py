"""Who and what stands in front: a person, a cat, a boat, a house, a lighthouse."""

from __future__ import annotations

import math

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
        curve = _smooth(half)
        shape = self._canvas.mask()
        shape.polygon(
            [*(self.at(x, y) for x, y in curve), *(self.at(-x, y) for x, y in reversed(curve))]
        )
        return shape.done()


def _smooth(points: list[Point]) -> list[Point]:
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
            for p in _smooth(
                [(0.012, 0.0), (0.02, 0.05), (0.024, 0.072), (0.008, 0.082), (-0.008, 0.08)]
            )
        ],
        0.0042,
    )
    canvas.fill(nose.done(opacity=0.55), mix(skin, (60, 20, 30), 0.6))
    lips = canvas.mask()
    upper = _smooth([(-0.048, 0.122), (-0.014, 0.112), (0, 0.116), (0.014, 0.112), (0.048, 0.122)])
    lower = _smooth([(0.048, 0.122), (0.02, 0.139), (0, 0.142), (-0.02, 0.139), (-0.048, 0.122)])
    lips.polygon([body.at(*p) for p in [*upper, *lower]])
    canvas.fill(lips.done(), mix(skin, (186, 52, 66), 0.62))
    gap = canvas.mask()
    gap.line([body.at(*p) for p in _smooth([(-0.046, 0.122), (0, 0.125), (0.046, 0.122)])], 0.0032)
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
    front.polygon([body.at(*p) for p in [*_smooth(outer), *_smooth(inner)]])
    shape = front.done()
    canvas.fill(shape, mix(hair, palette.light, 0.16), mix(hair, palette.near, 0.3), 0.1, 0.75)
    strands = canvas.mask()
    for i in range(26):
        lean = i / 25
        end_x, end_y = -0.22 + 0.44 * lean, 0.3 if long_hair else 0.0
        path = _smooth(
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


def paint_cat(canvas: Canvas, palette: Palette) -> None:
    """A cat that sits with its back to us and looks at the view."""
    rng = canvas.rng
    x, ground = rng.choice((0.34, 0.66)), 0.93
    shape = canvas.mask()

    def at(right: float, up: float) -> Point:
        return x + right * canvas.across, ground - up * canvas.along

    outline = [(0, 0.0), (0.1, 0.0), (0.135, 0.06), (0.118, 0.16), (0.072, 0.24), (0.06, 0.275)]
    half = _smooth(outline)
    shape.polygon([*(at(*p) for p in half), *(at(-px, py) for px, py in reversed(half))])
    shape.oval(*at(0, 0.315), 0.075, 0.062)
    for side in (-1, 1):
        shape.polygon([at(side * 0.07, 0.335), at(side * 0.062, 0.425), at(side * 0.014, 0.368)])
    way = rng.choice((-1, 1))
    tail = _smooth(
        [
            (way * 0.08, 0.02),
            (way * 0.17, 0.005),
            (way * 0.235, 0.05),
            (way * 0.22, 0.12),
            (way * 0.25, 0.16),
        ]
    )
    for i, point in enumerate(tail):
        shape.disc(*at(*point), 0.024 * (1 - 0.35 * i / len(tail)))
    stand = canvas.mask()
    stand.oval(*at(0.0, -0.26), 0.75, 0.27)
    canvas.fill(stand.done(), mix(palette.near, palette.leaf, 0.3), palette.near, 0.9, 1.0)
    mask = shape.done()
    lifted = ImageChops.offset(mask, round(0.004 * canvas.width), round(0.004 * canvas.height))
    canvas.fill(mask, mix(palette.near, (10, 8, 14), 0.4))
    rim = ImageChops.subtract(mask, lifted)
    canvas.image.paste(palette.light, (0, 0), rim.point([round(v * 0.6) for v in range(256)]))


def paint_boat(canvas: Canvas, theme: Theme, palette: Palette, horizon: float) -> None:
    """A sailing boat and a hint of its reflection."""
    rng = canvas.rng
    x, water = rng.choice((rng.uniform(0.2, 0.36), rng.uniform(0.62, 0.8))), horizon + 0.12

    def at(right: float, up: float) -> Point:
        return x + right * canvas.across, water - up * canvas.along

    sail_tone = theme.colours[0] if theme.colours else mix(palette.light, (255, 255, 255), 0.4)
    hull, mast, sails, mirror = (canvas.mask() for _ in range(4))
    hull.polygon([at(-0.13, 0.035), at(0.15, 0.042), at(0.1, -0.01), at(-0.09, -0.01)])
    mast.line([at(0.0, 0.02), at(0.0, 0.36)], 0.007)
    sails.polygon(
        [at(p, q) for p, q in _smooth([(0.012, 0.35), (0.09, 0.2), (0.135, 0.07)])]
        + [at(0.012, 0.06)]
    )
    sails.polygon([at(-0.012, 0.32), at(-0.1, 0.075), at(-0.012, 0.065)])
    for _ in range(46):
        depth = rng.random()
        long, y = rng.uniform(0.02, 0.11) * (1 - depth * 0.6), -0.012 - depth * 0.2
        shift = rng.uniform(-0.03, 0.03)
        left, top = at(shift - long, y)
        right, _ = at(shift + long, y)
        mirror.box(left, top, right, top + 0.004 * canvas.along, 0.6 * (1 - depth))
    canvas.fill(mirror.done(soft=0.002), mix(sail_tone, palette.near, 0.45))
    canvas.fill(mast.done(), palette.near)
    canvas.fill(sails.done(), sail_tone, mix(sail_tone, palette.near, 0.28), water - 0.36, water)
    canvas.fill(
        hull.done(), mix(palette.near, (120, 54, 44), 0.4), palette.near, water - 0.05, water
    )


def paint_house(canvas: Canvas, theme: Theme, palette: Palette) -> None:
    """A small house with a light in its windows and smoke above."""
    rng = canvas.rng
    x, ground = rng.choice((0.3, 0.68)), 0.82

    def at(right: float, up: float) -> Point:
        return x + right * canvas.across, ground - up * canvas.along

    wall_tone = mix((232, 220, 202), palette.haze, 0.45 if palette.is_dark else 0.15)
    wall_tone = mix(wall_tone, palette.near, 0.5 if palette.is_dark else 0.12)
    roof_tone = theme.colours[0] if theme.colours else mix((150, 66, 52), palette.near, 0.3)
    roof_tone = (244, 246, 250) if "snow" in theme.extras else roof_tone
    smoke = canvas.mask()
    for i in range(14):
        drift = i / 14
        smoke.disc(
            *at(0.09 + 0.1 * drift**1.5 + rng.uniform(-0.01, 0.01), 0.3 + 0.26 * drift),
            0.012 + 0.03 * drift,
            1 - drift,
        )
    canvas.image.paste(palette.haze, (0, 0), smoke.done(soft=0.01, opacity=0.6))
    walls, roof, panes, door = (canvas.mask() for _ in range(4))
    walls.polygon([at(-0.15, 0), at(-0.15, 0.13), at(0.15, 0.13), at(0.15, 0)])
    roof.polygon([at(0.07, 0.2), at(0.07, 0.3), at(0.105, 0.3), at(0.105, 0.16)])
    roof.polygon([at(-0.185, 0.12), at(-0.12, 0.245), at(0.12, 0.245), at(0.185, 0.12)])
    for left in (-0.11, 0.055):
        panes.polygon(
            [at(left, 0.05), at(left, 0.1), at(left + 0.055, 0.1), at(left + 0.055, 0.05)]
        )
    door.polygon([at(-0.022, 0), at(-0.022, 0.09), at(0.024, 0.09), at(0.024, 0)])
    canvas.fill(walls.done(), wall_tone, mix(wall_tone, palette.near, 0.25), ground - 0.13, ground)
    canvas.fill(
        roof.done(), roof_tone, mix(roof_tone, palette.near, 0.3), ground - 0.25, ground - 0.1
    )
    canvas.fill(door.done(), mix((94, 62, 44), palette.near, 0.3))
    canvas.screen((255, 206, 120), panes.done(soft=0.02, opacity=0.8))
    canvas.fill(panes.done(), (255, 222, 150))


def paint_lighthouse(canvas: Canvas, palette: Palette, horizon: float) -> None:
    """A lighthouse on a rock, its beam over the water where it is dark."""
    rng = canvas.rng
    side = rng.choice((-1, 1))
    x, ground = 0.5 + side * 0.3, horizon + 0.06

    def at(right: float, up: float) -> Point:
        return x + right * canvas.across, ground - up * canvas.along

    lamp = at(0, 0.405)
    if palette.is_dark or rng.random() < 0.5:
        beam = canvas.mask()
        beam.polygon([lamp, (0.5 - side * 0.6, lamp[1] - 0.12), (0.5 - side * 0.6, lamp[1] + 0.05)])
        canvas.screen(palette.light, beam.done(soft=0.012, opacity=0.32))
    rock, tower, bands, roof = (canvas.mask() for _ in range(4))
    rock.polygon(
        [
            at(-0.3, -0.06),
            at(-0.2, 0.0),
            at(-0.09, 0.05),
            at(0.08, 0.06),
            at(0.2, 0.01),
            at(0.34, -0.06),
        ]
    )
    tower.polygon([at(-0.052, 0.04), at(-0.034, 0.37), at(0.034, 0.37), at(0.052, 0.04)])
    for low in (0.1, 0.22, 0.33):
        wide = 0.0525 - 0.0545 * (low - 0.04)
        bands.polygon(
            [
                at(-wide, low),
                at(-wide + 0.0025, low + 0.05),
                at(wide - 0.0025, low + 0.05),
                at(wide, low),
            ]
        )
    roof.polygon([at(-0.046, 0.37), at(-0.046, 0.38), at(0.046, 0.38), at(0.046, 0.37)])
    roof.polygon([at(-0.03, 0.43), at(0, 0.475), at(0.03, 0.43)])
    roof.polygon([at(-0.026, 0.38), at(-0.026, 0.43), at(-0.02, 0.43), at(-0.02, 0.38)])
    roof.polygon([at(0.026, 0.38), at(0.026, 0.43), at(0.02, 0.43), at(0.02, 0.38)])
    canvas.fill(
        rock.done(), mix(palette.stone, palette.near, 0.55), palette.near, ground - 0.06, ground
    )
    white = mix((244, 240, 232), palette.haze, 0.5 if palette.is_dark else 0.15)
    canvas.fill(tower.done(), white)
    canvas.fill(bands.done(), mix((196, 52, 48), palette.near, 0.3 if palette.is_dark else 0.05))
    canvas.fill(roof.done(), mix((150, 40, 40), palette.near, 0.45))
    shade = canvas.mask()
    shade.polygon([at(0.012, 0.04), at(0.012, 0.37), at(0.034, 0.37), at(0.052, 0.04)])
    canvas.image.paste(palette.near, (0, 0), shade.done(soft=0.006, opacity=0.35))
    canvas.glow(*lamp, 0.16, (255, 236, 180), 0.95)


def paint_rocket_trail(canvas: Canvas, start: Point, angle: float, colour: Colour) -> None:
    """A shooting star: bright at its head, fading behind it."""
    trail = canvas.mask()
    for i in range(40):
        t = i / 40
        place = (
            start[0] - math.cos(angle) * 0.3 * t * canvas.across,
            start[1] - math.sin(angle) * 0.3 * t * canvas.along,
        )
        trail.disc(*place, 0.0035 * (1 - t) + 0.0006, 1 - t)
    canvas.screen(colour, trail.done())
