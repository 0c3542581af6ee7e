"""What stands in a view: a cat, a boat, a house, a lighthouse."""

from __future__ import annotations

from PIL import ImageChops

from chuk.adapters.sketching.canvas import Canvas, Point, mix
from chuk.adapters.sketching.figures import smooth
from chuk.adapters.sketching.palettes import Palette
from chuk.adapters.sketching.words import Theme


def paint_cat(canvas: Canvas, palette: Palette) -> None:
    """A cat that sits with its back to us and looks at the view."""
    rng = canvas.rng
    x, ground = rng.choice((0.34, 0.66)), 0.93
    shape = canvas.mask()

    def at(right: float, up: float) -> Point:
        return x + right * canvas.across, ground - up * canvas.along

    outline = [(0, 0.0), (0.1, 0.0), (0.135, 0.06), (0.118, 0.16), (0.072, 0.24), (0.06, 0.275)]
    half = smooth(outline)
    shape.polygon([*(at(*p) for p in half), *(at(-px, py) for px, py in reversed(half))])
    shape.oval(*at(0, 0.315), 0.075, 0.062)
    for side in (-1, 1):
        shape.polygon([at(side * 0.07, 0.335), at(side * 0.062, 0.425), at(side * 0.014, 0.368)])
    way = rng.choice((-1, 1))
    tail = smooth(
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
        [at(p, q) for p, q in smooth([(0.012, 0.35), (0.09, 0.2), (0.135, 0.07)])]
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
