"""What the sky stands on: mountains, hills, dunes, water."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

from PIL import Image, ImageChops

from chuk.adapters.sketching.canvas import Canvas, Colour, Point, mix
from chuk.adapters.sketching.palettes import Palette
from chuk.adapters.sketching.sky import light_path
from chuk.adapters.sketching.words import Theme

_SNOW = (246, 248, 252)


def ridge(rng: Random, base: float, height: float, roughness: float) -> list[Point]:
    """A skyline from left to right by midpoint displacement, `height` above `base` at most."""
    heights = [rng.uniform(0, 0.6), rng.uniform(0.3, 1.0), rng.uniform(0, 0.8)]
    spread = 0.5
    while len(heights) < 257:
        between = [(a + b) / 2 + rng.uniform(-spread, spread) * 0.5 for a, b in pairwise(heights)]
        heights = [value for both in zip(heights, between, strict=False) for value in both] + [
            heights[-1]
        ]
        spread *= roughness
    low, high = min(heights), max(heights)
    span = max(high - low, 1e-6)
    last = len(heights) - 1
    return [(i / last, base - height * (v - low) / span) for i, v in enumerate(heights)]


def rolling(rng: Random, base: float, height: float, waves: float = 1.4) -> list[Point]:
    """A soft skyline of a few long waves."""
    parts = [(rng.uniform(0.6, 1.4) * waves * k, rng.uniform(0, 6.28), 1 / k) for k in (1, 2, 3)]
    total = sum(share for _, _, share in parts)
    points = []
    for step in range(161):
        x = step / 160
        wave = sum(math.sin(x * 3.14 * f + p) * share for f, p, share in parts) / total
        points.append((x, base - height * (0.5 + 0.5 * wave)))
    return points


def below(points: list[Point], bottom: float = 1.0) -> list[Point]:
    """The area under a skyline."""
    return [(0.0, bottom), *points, (1.0, bottom)]


def paint_mountains(
    canvas: Canvas, theme: Theme, palette: Palette, horizon: float, *, layers: int = 4
) -> None:
    """Ranges one behind the other, each nearer one darker; snow on the highest."""
    rng = canvas.rng
    snowy = "snow" in theme.extras or rng.random() < 0.6
    for layer in range(layers):
        near = (layer + 1) / layers
        base = horizon + 0.02 + 0.1 * layer
        height = (0.36 - 0.055 * layer) * rng.uniform(0.8, 1.1)
        line = ridge(rng, base, height, 0.5 if layer < 2 else 0.56)
        body = mix(
            mix(palette.haze, palette.stone, 0.35 + 0.3 * near), palette.near, near**2 * 0.85
        )
        shape = canvas.mask()
        shape.polygon(below(line))
        mask = shape.done()
        canvas.fill(mask, body, mix(body, palette.haze, 0.55), base - height, base + 0.1)
        if layer < 2:
            _relief(canvas, line, base, height, body, palette, snowy=snowy and layer == 0)
        canvas.haze(base, 0.035, palette.haze, 0.32 * (1 - near) + 0.08)


def _relief(
    canvas: Canvas,
    line: list[Point],
    base: float,
    height: float,
    body: Colour,
    palette: Palette,
    *,
    snowy: bool,
) -> None:
    """Sides in light and in shade, and snow above a ragged line."""
    rng = canvas.rng
    whole = canvas.mask()
    whole.polygon(below(line, base))
    inside = whole.done()
    faces = canvas.mask()
    for i in range(0, len(line) - 1, 3):
        (x, y), (next_x, next_y) = line[i], line[min(i + 3, len(line) - 1)]
        if next_y > y:
            drop = rng.uniform(0.25, 0.9) * height
            slide = rng.uniform(0.015, 0.05)
            faces.polygon([(x, y), (next_x, next_y), (next_x + slide, min(base, next_y + drop))])
    shade = ImageChops.multiply(faces.done(soft=0.0012), inside)
    canvas.image.paste(
        mix(body, palette.near, 0.32), (0, 0), shade.point([v // 2 for v in range(256)])
    )
    if not snowy:
        return
    cap = canvas.mask()
    snow_line = base - height * 0.52
    ragged = [(x, max(y, min(snow_line, y + rng.uniform(0.02, 0.16) * height))) for x, y in line]
    cap.polygon([*line, *((x, y) for x, y in reversed(ragged))])
    white = mix(_SNOW, palette.haze, 0.55 if palette.is_dark else 0.22)
    snow = ImageChops.multiply(cap.done(), inside)
    canvas.image.paste(white, (0, 0), snow)
    both = ImageChops.multiply(snow, shade)
    canvas.image.paste(mix(white, palette.stone, 0.45), (0, 0), both)


def paint_hills(canvas: Canvas, theme: Theme, palette: Palette, horizon: float) -> None:
    """Green hills towards us; white ones in winter."""
    rng = canvas.rng
    green = mix(_SNOW, palette.haze, 0.25) if "snow" in theme.extras else palette.leaf
    layers = 5
    for layer in range(layers):
        near = layer / (layers - 1)
        base = horizon + 0.05 + (1.02 - horizon) * near * 0.62
        line = rolling(rng, base, 0.13 + 0.05 * near, 1.1 + rng.random())
        tone = mix(mix(palette.haze, green, 0.4 + 0.6 * near), palette.near, 0.1 + 0.3 * near)
        shape = canvas.mask()
        shape.polygon(below(line))
        upper = mix(tone, palette.light, 0.22)
        canvas.fill(shape.done(), upper, mix(tone, palette.near, 0.25), base - 0.15, base + 0.25)
    _texture(canvas, horizon, 26, 0.10)


def paint_dunes(canvas: Canvas, palette: Palette, horizon: float) -> None:
    """Dunes with a sharp crest between light and shade."""
    rng = canvas.rng
    for layer in range(5):
        near = layer / 4
        base = horizon + 0.04 + (1.0 - horizon) * near * 0.75
        height = 0.1 + 0.12 * near
        line = rolling(rng, base, height, 0.9 + rng.random())
        tone = mix(palette.haze, palette.sand, 0.4 + 0.6 * near)
        shape = canvas.mask()
        shape.polygon(below(line))
        canvas.fill(
            shape.done(),
            mix(tone, palette.light, 0.3),
            mix(tone, palette.near, 0.22),
            base - height,
            base + 0.3,
        )
        # The side away from the light, from the crest to where it runs out in the sand.
        peak = min(range(len(line)), key=lambda i: line[i][1])
        crest = line[peak : peak + rng.randint(60, 110)]
        if len(crest) > 20:
            steps = len(crest) - 1
            foot = [
                (
                    x - 0.05 * math.sin(math.pi * i / steps),
                    y + depth * math.sin(math.pi * (i / steps) ** 0.6),
                )
                for depth in (height * rng.uniform(0.7, 1.1),)
                for i, (x, y) in enumerate(crest)
            ]
            lee = canvas.mask()
            lee.polygon([*crest, *reversed(foot)])
            dark = ImageChops.multiply(lee.done(soft=0.0015), shape.done())
            tint = mix(tone, palette.near, 0.5)
            canvas.image.paste(tint, (0, 0), dark.point([round(v * 0.6) for v in range(256)]))
    _texture(canvas, horizon, 40, 0.07, stretch=6)


def paint_water(
    canvas: Canvas, palette: Palette, horizon: float, light_x: float, *, still: bool = False
) -> None:
    """Water from the horizon on; where it is still, what stands above is seen in it."""
    top = round(horizon * canvas.height)
    deep = mix(palette.sky[0][1], palette.near, 0.45)
    far = mix(palette.sky[-1][1], palette.haze, 0.4)
    water = canvas.gradient(((0.0, far), (0.35, mix(far, deep, 0.6)), (1.0, deep)), horizon, 1.0)
    sea = canvas.mask()
    sea.box(0, horizon, 1, 1)
    shape = sea.done()
    if still:
        mirrored = canvas.image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        moved = ImageChops.offset(mirrored, 0, 2 * top - canvas.height)
        canvas.image.paste(moved, (0, 0), shape)
        canvas.image.paste(water, (0, 0), shape.point([round(v * 0.34) for v in range(256)]))
    else:
        canvas.image.paste(water, (0, 0), shape)
    waves = canvas.clouds(9, stretch=9 if still else 6, octaves=4)
    crest = ImageChops.multiply(
        waves.point([max(0, min(255, (v - 138) * 6)) for v in range(256)]), shape
    )
    trough = ImageChops.multiply(
        waves.point([max(0, min(255, (118 - v) * 6)) for v in range(256)]), shape
    )
    soft = 0.1 if still else 0.24
    canvas.image.paste(palette.haze, (0, 0), crest.point([round(v * soft) for v in range(256)]))
    canvas.image.paste(palette.near, (0, 0), trough.point([round(v * soft) for v in range(256)]))
    light_path(canvas, light_x, horizon, palette)
    canvas.haze(horizon, 0.008, mix(palette.haze, palette.light, 0.4), 0.6)


def paint_shore(canvas: Canvas, palette: Palette) -> None:
    """A strip of sand in front, wet where the water has been."""
    line = rolling(canvas.rng, 0.93, 0.07, 0.8)
    foam = canvas.mask()
    foam.polygon(below([(x, y - 0.012) for x, y in line]))
    canvas.fill(foam.done(soft=0.002, opacity=0.85), mix(palette.light, palette.haze, 0.3))
    wet = canvas.mask()
    wet.polygon(below(line))
    canvas.fill(wet.done(), mix(palette.sand, palette.near, 0.4))
    dry = canvas.mask()
    dry.polygon(below([(x, y + 0.03 + 0.012 * math.sin(x * 9)) for x, y in line]))
    canvas.fill(dry.done(soft=0.004), palette.sand, mix(palette.sand, palette.near, 0.25), 0.9, 1.0)


def _texture(
    canvas: Canvas, top: float, cells: float, strength: float, stretch: float = 2.0
) -> None:
    """Unevenness of the ground below a height."""
    ground = canvas.mask()
    ground.box(0, top + 0.06, 1, 1)
    shape = ground.done(soft=0.03)
    noise = canvas.clouds(cells, stretch=stretch, octaves=3)
    for colour, table in (
        ((0, 0, 0), [max(0, min(255, (128 - v) * 4)) for v in range(256)]),
        ((255, 255, 240), [max(0, min(255, (v - 128) * 4)) for v in range(256)]),
    ):
        marks = ImageChops.multiply(noise.point(table), shape)
        canvas.image.paste(colour, (0, 0), marks.point([round(v * strength) for v in range(256)]))
