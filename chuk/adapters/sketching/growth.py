"""What grows: conifers, a tree, meadow flowers, one great flower."""

from __future__ import annotations

import math

from PIL import ImageChops

from chuk.adapters.sketching.canvas import Canvas, Colour, Mask, Point, mix
from chuk.adapters.sketching.land import below, rolling
from chuk.adapters.sketching.palettes import Palette
from chuk.adapters.sketching.words import COLOURS, Theme

_BLOOMS = tuple(COLOURS[name] for name in ("red", "pink", "orange", "purple", "yellow", "white"))


def paint_forest(canvas: Canvas, theme: Theme, palette: Palette, horizon: float) -> None:
    """Rows of conifers, mist between them."""
    rng = canvas.rng
    rows = 5
    for row in range(rows):
        near = row / (rows - 1)
        base = horizon + 0.04 + (0.98 - horizon) * near**1.2
        line = rolling(rng, base, 0.07, 1.0)
        green = mix(palette.leaf, palette.near, 0.45)
        tone = mix(mix(palette.haze, green, 0.3 + 0.5 * near), palette.near, 0.75 * near**1.5)
        trees = canvas.mask()
        trees.polygon(below(line))
        count = round(64 - 44 * near)
        for i in range(count):
            x = (i + rng.uniform(-0.4, 0.4)) / (count - 1)
            ground = line[max(0, min(160, round(x * 160)))][1]
            tall = (0.07 + 0.27 * near) * rng.uniform(0.6, 1.25)
            _conifer(canvas, trees, x, ground + 0.02, tall)
        shape = trees.done()
        canvas.fill(shape, tone, mix(tone, palette.near, 0.35), base - 0.3, base + 0.1)
        if "snow" in theme.extras:
            lifted = ImageChops.offset(shape, 0, -max(1, round(0.006 * canvas.height)))
            edge = ImageChops.subtract(shape, lifted)
            canvas.image.paste((240, 244, 250), (0, 0), edge.point([v // 2 for v in range(256)]))
        canvas.haze(base + 0.02, 0.05, palette.haze, 0.5 * (1 - near))


def _conifer(canvas: Canvas, trees: Mask, x: float, ground: float, tall: float) -> None:
    """One fir: tiers of drooping branches, narrower towards the top."""
    rng = canvas.rng
    wide = tall * rng.uniform(0.2, 0.27) * canvas.height / canvas.width
    tiers = 7
    trees.box(x - wide * 0.07, ground - tall * 0.2, x + wide * 0.07, ground)
    for tier in range(tiers):
        up = tier / tiers
        low, high = ground - tall * (0.1 + 0.82 * up), ground - tall * (0.1 + 0.82 * up + 0.26)
        half = wide * (1 - up) ** 0.85 * rng.uniform(0.85, 1.1)
        droop = tall * 0.03
        trees.polygon(
            [
                (x, max(high, ground - tall)),
                (x + half * 0.5, (low + high) / 2 + droop),
                (x + half, low + droop),
                (x, low - droop),
                (x - half, low + droop),
                (x - half * 0.5, (low + high) / 2 + droop),
            ]
        )


def paint_tree(canvas: Canvas, theme: Theme, palette: Palette) -> None:
    """One old tree, its crown of many balls of leaves."""
    rng = canvas.rng
    x, ground = rng.choice((rng.uniform(0.28, 0.4), rng.uniform(0.6, 0.72))), 0.86
    trunk = canvas.mask()
    tips: list[tuple[float, float]] = []
    _branch(canvas, trunk, (x, ground), math.pi / 2, 0.17, 0.034, tips)
    bark = mix(palette.near, (92, 66, 52), 0.35)
    canvas.fill(trunk.done(), bark)
    if "snow" in theme.extras:
        return
    leaf = theme.colours[0] if theme.colours else palette.leaf
    for share, tone, shift in (
        (1.0, mix(leaf, palette.near, 0.55), 0.02),
        (0.8, leaf, 0.0),
        (0.4, mix(leaf, palette.light, 0.35), -0.02),
    ):
        leaves = canvas.mask()
        for tip_x, tip_y in tips:
            for _ in range(round(16 * share)):
                leaves.disc(
                    tip_x + rng.gauss(0, 0.034) * canvas.across,
                    tip_y + (rng.gauss(0, 0.028) + shift) * canvas.along,
                    rng.uniform(0.004, 0.016) * (0.6 + 0.4 * share),
                    rng.uniform(0.75, 1),
                )
        canvas.fill(leaves.done(opacity=0.92), tone)


def _branch(
    canvas: Canvas,
    shape: Mask,
    start: tuple[float, float],
    angle: float,
    length: float,
    width: float,
    tips: list[tuple[float, float]],
) -> None:
    rng = canvas.rng
    end = (
        start[0] + math.cos(angle) * length * canvas.across,
        start[1] - math.sin(angle) * length * canvas.along,
    )
    shape.line([start, end], width)
    shape.disc(*end, width / 2)
    if length < 0.06:
        tips.append(end)
        return
    if length < 0.1:
        tips.append(end)
    for lean in (-1, 1, rng.choice((-0.4, 0.4))):
        turn = angle + lean * rng.uniform(0.3, 0.62)
        _branch(canvas, shape, end, turn, length * rng.uniform(0.66, 0.8), width * 0.62, tips)


def paint_meadow_flowers(canvas: Canvas, theme: Theme, horizon: float) -> None:
    """Dots of colour, larger the nearer they are."""
    rng = canvas.rng
    blooms = theme.colours or (rng.choice(_BLOOMS), rng.choice(_BLOOMS), (250, 246, 232))
    for bloom in blooms:
        dots = canvas.mask()
        for _ in range(260):
            depth = rng.random() ** 0.7
            y = horizon + 0.12 + (0.88 - horizon) * depth
            size = 0.0012 + 0.0065 * depth**2 * rng.uniform(0.6, 1.2)
            dots.oval(rng.random(), y, size, size * 0.75, shade=rng.uniform(0.7, 1))
        canvas.fill(dots.done(), bloom)


def paint_flower(canvas: Canvas, theme: Theme, palette: Palette) -> None:
    """One great flower in front of lights out of focus."""
    rng = canvas.rng
    colour = theme.colours[0] if theme.colours else rng.choice(_BLOOMS[:5])
    x, y = 0.5 + rng.uniform(-0.05, 0.05), 0.43
    stem = canvas.mask()
    bend = rng.uniform(-0.08, 0.08)
    curve = [
        (x + bend * math.sin(t * 1.6), y + (1.05 - y) * t) for t in (i / 20 for i in range(21))
    ]
    stem.line(curve, 0.022)
    green = mix((66, 124, 66), palette.near, 0.25)
    canvas.fill(stem.done(), green)
    for side, at in ((-1, 0.5), (1, 0.66)):
        _leaf(canvas, curve[round(at * 20)], side, green)
    petals = rng.choice((8, 11, 13))
    for ring, (count, length, tone) in enumerate(
        (
            (petals, 0.3, mix(colour, palette.near, 0.3)),
            (petals, 0.26, colour),
            (max(5, petals - 3), 0.19, mix(colour, (255, 255, 255), 0.28)),
        )
    ):
        _petals(canvas, (x, y), count, length, tone, ring)
    heart = COLOURS["gold"] if colour != COLOURS["yellow"] else (120, 74, 40)
    core = canvas.mask()
    core.disc(x, y, 0.066)
    canvas.fill(
        core.done(),
        mix(heart, (255, 240, 200), 0.2),
        mix(heart, palette.near, 0.35),
        y - 0.07,
        y + 0.07,
    )
    seeds = canvas.mask()
    for i in range(120):
        # Seeds stand at the golden angle, as in nature.
        away, angle = 0.06 * math.sqrt(i / 120), i * 2.399963
        seeds.disc(
            x + away * math.cos(angle) * canvas.across,
            y + away * math.sin(angle) * canvas.along,
            0.0034,
        )
    canvas.fill(seeds.done(opacity=0.7), mix(heart, (40, 22, 20), 0.55))


def _petals(
    canvas: Canvas, centre: Point, count: int, length: float, tone: Colour, ring: int
) -> None:
    """A ring of petals; each casts a soft shadow on those before it."""
    rng = canvas.rng
    start = rng.uniform(0, math.tau)
    for i in range(count):
        angle = start + (i + 0.5 * ring) * math.tau / count + rng.uniform(-0.06, 0.06)
        long = length * rng.uniform(0.92, 1.05)
        x = centre[0] + math.cos(angle) * long * 0.55 * canvas.across
        y = centre[1] + math.sin(angle) * long * 0.55 * canvas.along
        with canvas.part(x, y, long * 0.62 + 0.03) as around:
            _petal(around, centre, (x, y), angle, long, long * 2.1 / count**0.72, tone)


def _petal(
    canvas: Canvas,
    centre: Point,
    at: Point,
    angle: float,
    long: float,
    wide: float,
    tone: Colour,
) -> None:
    shape = canvas.mask()
    shape.oval(*at, long * 0.5, wide * 0.5, turn=angle)
    mask = shape.done()
    soft = shape.done(soft=0.008, opacity=0.35)
    shadow = ImageChops.offset(soft, canvas.pixels(0.004), canvas.pixels(0.008))
    canvas.image.paste(mix(tone, (30, 10, 30), 0.7), (0, 0), shadow)
    shade = mix(tone, (40, 10, 40), 0.1 * canvas.rng.random())
    upper, lower = mix(shade, (255, 255, 255), 0.16), mix(shade, (40, 10, 40), 0.16)
    canvas.fill(mask, upper, lower, at[1] - long * 0.5, at[1] + long * 0.5)
    vein = canvas.mask()
    for part in (-0.5, 0.0, 0.5):
        turns = [(r, angle + part * 0.18 * r) for r in (0.2, 0.5, 0.9)]
        vein.line(
            [
                (
                    centre[0] + math.cos(turn) * long * r * canvas.across,
                    centre[1] + math.sin(turn) * long * r * canvas.along,
                )
                for r, turn in turns
            ],
            0.0022,
        )
    lines = ImageChops.multiply(vein.done(opacity=0.22), mask)
    canvas.image.paste(mix(tone, (60, 10, 50), 0.6), (0, 0), lines)


def _leaf(canvas: Canvas, at: tuple[float, float], side: int, green: Colour) -> None:
    points_up, points_down = [], []
    for step in range(21):
        t = step / 20
        width = 0.045 * math.sin(math.pi * t**0.8)
        x = at[0] + side * 0.24 * t * canvas.across
        y = at[1] + (-0.1 * t - 0.02 * math.sin(3 * t)) * canvas.along
        points_up.append((x, y - width * canvas.along))
        points_down.append((x, y + width * canvas.along))
    shape = canvas.mask()
    shape.polygon([*points_up, *reversed(points_down)])
    canvas.fill(
        shape.done(),
        mix(green, (210, 236, 160), 0.3),
        mix(green, (10, 30, 20), 0.25),
        at[1] - 0.16,
        at[1] + 0.06,
    )


def paint_bokeh(canvas: Canvas, theme: Theme, palette: Palette) -> None:
    """A background out of focus: greens and discs of light."""
    rng = canvas.rng
    dark = mix(palette.leaf, palette.near, 0.55)
    top = mix(palette.sky[0][1], palette.leaf, 0.45)
    canvas.image = canvas.gradient(((0.0, top), (0.6, mix(dark, palette.leaf, 0.3)), (1.0, dark)))
    noise = canvas.clouds(2.2, octaves=3)
    table = [max(0, min(200, (v - 110) * 3)) for v in range(256)]
    canvas.image.paste(mix(palette.haze, palette.leaf, 0.5), (0, 0), noise.point(table))
    canvas.soften(0.03)
    tints = (palette.light, palette.haze, *theme.colours)
    for _ in range(26):
        x, y, size = rng.random(), rng.random(), rng.uniform(0.02, 0.085)
        with canvas.part(x, y, size + 0.02) as around:
            disc = around.mask()
            disc.disc(x, y, size)
            light = disc.done(soft=0.004, opacity=rng.uniform(0.1, 0.32))
            around.screen(rng.choice(tints), light)
