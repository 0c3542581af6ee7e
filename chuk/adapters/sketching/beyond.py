"""What no eye has seen like this: space, and shapes that are nothing but shapes."""

from __future__ import annotations

import math

from PIL import Image, ImageChops

from chuk.adapters.sketching.canvas import Canvas, Colour, Point, mix
from chuk.adapters.sketching.words import COLOURS, Theme

_NEBULAE: tuple[tuple[Colour, Colour], ...] = (
    ((206, 72, 148), (66, 92, 214)),
    ((236, 122, 82), (96, 60, 170)),
    ((56, 170, 176), (110, 66, 190)),
)
_SCHEMES: tuple[tuple[Colour, ...], ...] = (
    ((24, 44, 76), (226, 92, 72), (244, 176, 92), (246, 232, 206), (62, 132, 144)),
    ((44, 32, 60), (198, 74, 118), (246, 142, 120), (250, 220, 190), (98, 92, 158)),
    ((26, 60, 62), (72, 142, 118), (226, 198, 116), (246, 238, 216), (206, 104, 76)),
    ((30, 34, 48), (82, 124, 188), (156, 196, 220), (246, 240, 226), (238, 166, 88)),
)


def paint_space(canvas: Canvas, theme: Theme) -> None:
    """A nebula, stars, and a planet, perhaps with rings."""
    rng = canvas.rng
    canvas.image = canvas.gradient(((0.0, (6, 6, 18)), (1.0, (16, 12, 36))))
    one, other = rng.choice(_NEBULAE)
    if theme.colours:
        one = theme.colours[0]
    for colour, threshold in ((other, 116), (one, 134), (mix(one, (255, 240, 230), 0.5), 160)):
        noise = canvas.clouds(2.4, octaves=6)
        band = canvas.gradient(((0.0, (40,) * 3), (0.5, (255,) * 3), (1.0, (40,) * 3)))
        light = noise.point([max(0, min(255, (v - threshold) * 5)) for v in range(256)])
        canvas.screen(
            colour,
            ImageChops.multiply(light, band.getchannel("R")).point(
                [round(v * 0.75) for v in range(256)]
            ),
        )
    for size, count in ((0.0011, 420), (0.0018, 120), (0.003, 22)):
        stars = canvas.mask()
        for _ in range(count):
            stars.disc(rng.random(), rng.random(), size, rng.uniform(0.4, 1))
        canvas.screen((255, 250, 244), stars.done())
    for _ in range(3):
        canvas.glow(rng.random(), rng.random(), 0.05, (255, 255, 255), 0.9)
    _planet(
        canvas, rng.uniform(0.28, 0.72), rng.uniform(0.36, 0.62), rng.uniform(0.15, 0.24), other
    )
    _shooting_star(
        canvas,
        (rng.uniform(0.4, 0.9), rng.uniform(0.08, 0.3)),
        rng.uniform(2.5, 2.9),
        (255, 246, 230),
    )


def _planet(canvas: Canvas, x: float, y: float, radius: float, tint: Colour) -> None:
    rng = canvas.rng
    ring_turn, has_ring = rng.uniform(-0.5, 0.5), rng.random() < 0.7
    ring = canvas.mask()
    for scale, shade in ((2.0, 0.55), (1.86, 0.2), (1.8, 0.75), (1.52, 0.4), (1.44, 0.0)):
        ring.oval(x, y, radius * scale, radius * scale * 0.28, turn=ring_turn, shade=shade)
    around = ring.done()
    tone = mix(tint, (236, 206, 170), 0.5)
    canvas.glow(x, y, radius * 1.9, tone, 0.3)
    disc = canvas.mask()
    disc.disc(x, y, radius)
    shape = disc.done()
    if has_ring:
        canvas.image.paste(mix(tone, (255, 244, 226), 0.4), (0, 0), around)
    canvas.fill(
        shape,
        mix(tone, (255, 255, 255), 0.25),
        mix(tone, (20, 10, 40), 0.35),
        y - radius,
        y + radius,
    )
    stripes = canvas.clouds(7, stretch=12, octaves=3)
    for colour, table in (
        ((255, 240, 220), [max(0, min(255, (v - 132) * 5)) for v in range(256)]),
        ((60, 30, 60), [max(0, min(255, (120 - v) * 5)) for v in range(256)]),
    ):
        marks = ImageChops.multiply(stripes.point(table), shape)
        canvas.image.paste(colour, (0, 0), marks.point([round(v * 0.28) for v in range(256)]))
    # Night falls on the side away from its sun.
    lit = canvas.mask()
    lit.disc(x - radius * 0.42 * canvas.across, y - radius * 0.36 * canvas.along, radius * 1.02)
    night = ImageChops.subtract(shape, lit.done(soft=radius * 0.28))
    canvas.image.paste((6, 4, 16), (0, 0), night.point([round(v * 0.9) for v in range(256)]))
    if has_ring:
        front = canvas.mask()
        cos, sin = math.cos(ring_turn), math.sin(ring_turn)
        reach = 3 * radius
        corners = [(-reach, 0.0), (reach, 0.0), (reach, reach), (-reach, reach)]
        front.polygon(
            (x + (a * cos - b * sin) * canvas.across, y + (a * sin + b * cos) * canvas.along)
            for a, b in corners
        )
        before = ImageChops.multiply(around, front.done())
        canvas.image.paste(mix(tone, (255, 244, 226), 0.4), (0, 0), before)


def _shooting_star(canvas: Canvas, start: Point, angle: float, colour: Colour) -> None:
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


def paint_abstract(canvas: Canvas, theme: Theme) -> None:
    """Ribbons that follow one another over a glowing ground, discs and arcs among them."""
    rng = canvas.rng
    scheme = list(rng.choice(_SCHEMES))
    if theme.colours:
        scheme[1 : 1 + len(theme.colours[:3])] = theme.colours[:3]
    ground, *inks = scheme
    canvas.image = canvas.gradient(((0.0, mix(ground, inks[0], 0.18)), (1.0, ground)))
    canvas.glow(rng.uniform(0.2, 0.8), rng.uniform(0.15, 0.5), 1.1, inks[1], 0.5)
    sun = canvas.mask()
    sun_x, sun_y, size = rng.uniform(0.3, 0.7), rng.uniform(0.25, 0.45), rng.uniform(0.16, 0.26)
    sun.disc(sun_x, sun_y, size)
    canvas.fill(sun.done(), inks[2], inks[0], sun_y - size, sun_y + size)
    phase, beat = rng.uniform(0, 6), rng.uniform(1.2, 2.2)
    count = 9
    for i in range(count):
        t = i / (count - 1)
        base, swing = 0.3 + 0.75 * t, 0.13 * (1 - 0.3 * t)
        line = []
        for step in range(161):
            x = step / 160
            wave = math.sin(phase + x * math.pi * beat + t * 2.2)
            line.append((x, base - swing * wave - 0.04 * math.sin(phase * 2 + x * 7 + t * 4)))
        shape = canvas.mask()
        shape.polygon([(0, 1), *line, (1, 1)])
        mask = shape.done()
        edge = ImageChops.offset(
            shape.done(soft=0.02, opacity=0.4), 0, -round(0.012 * canvas.height)
        )
        canvas.image.paste(mix(ground, (0, 0, 0), 0.5), (0, 0), edge)
        ink = inks[i % len(inks)]
        tone = mix(ink, ground, 0.25 + 0.5 * t)
        canvas.fill(
            mask, mix(tone, (255, 255, 255), 0.14), mix(tone, ground, 0.5), base - 0.2, base + 0.3
        )
    arcs = canvas.mask()
    for ring in range(3):
        arcs.disc(sun_x, sun_y, size + 0.05 + 0.04 * ring)
        arcs.disc(sun_x, sun_y, size + 0.046 + 0.04 * ring, shade=0.0)
    above = arcs.done(opacity=0.28)
    fade: Image.Image = canvas.gradient(((0.0, (255,) * 3), (1.0, (0,) * 3)), sun_y, sun_y + 0.2)
    canvas.screen(
        inks[2] if inks[2] != ground else COLOURS["white"],
        ImageChops.multiply(above, fade.getchannel("R")),
    )
