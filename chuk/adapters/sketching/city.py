"""A town: rows of houses, windows with light in them."""

from __future__ import annotations

from chuk.adapters.sketching.canvas import Canvas, Mask, mix
from chuk.adapters.sketching.palettes import Palette
from chuk.adapters.sketching.words import Theme

_LAMPS = ((255, 214, 140), (255, 232, 184), (255, 190, 110))
_NEON = ((255, 64, 160), (60, 220, 255), (170, 90, 255), (255, 214, 90))


def paint_city(canvas: Canvas, theme: Theme, palette: Palette, horizon: float) -> None:
    """Three rows, each nearer, darker and with more windows lit."""
    rng = canvas.rng
    neon = "neon" in theme.extras
    foot = 1.0 if horizon > 0.8 else horizon + 0.02
    for row in range(3):
        near = row / 2
        tone = mix(mix(palette.haze, palette.stone, 0.35 + 0.4 * near), palette.near, 0.75 * near)
        houses = canvas.mask()
        lit = [canvas.mask() for _ in range(2)]
        signs = canvas.mask()
        x = -0.02
        while x < 1.02:
            wide = rng.uniform(0.04, 0.095) * (0.8 + 0.5 * near)
            tall = (
                (0.3 - 0.03 * row) * rng.uniform(0.45, 1.35) * (1.5 if rng.random() < 0.14 else 1)
            )
            top = max(0.07, foot - tall * (1.35 if foot == 1.0 else 1.0))
            _house(canvas, houses, x, top, wide, foot)
            if row:
                _windows(canvas, lit, x, top, wide, foot, near, dark=palette.is_dark)
            if neon and row and rng.random() < 0.5:
                at = x + wide * rng.uniform(0.1, 0.8)
                signs.box(at, top + 0.05, at + 0.008, top + 0.05 + rng.uniform(0.05, 0.16))
            x += wide * rng.uniform(0.92, 1.25)
        canvas.fill(
            houses.done(),
            mix(tone, palette.near, 0.12),
            mix(tone, palette.haze, 0.35),
            foot - 0.5,
            foot,
        )
        strength = 0.95 if palette.is_dark else 0.6
        for windows in lit:
            canvas.screen(rng.choice(_LAMPS), windows.done(opacity=strength * (0.55 + 0.45 * near)))
        if neon:
            colour = rng.choice(_NEON)
            canvas.screen(colour, signs.done(soft=0.014))
            canvas.screen(mix(colour, (255, 255, 255), 0.5), signs.done())
            canvas.haze(foot - 0.08, 0.16, rng.choice(_NEON), 0.14)
        canvas.haze(foot, 0.07, palette.haze, 0.3 * (1 - near))


def _house(canvas: Canvas, shape: Mask, x: float, top: float, wide: float, foot: float) -> None:
    rng = canvas.rng
    shape.box(x, top, x + wide, foot)
    kind = rng.random()
    if kind < 0.3:
        inset = wide * rng.uniform(0.15, 0.3)
        shape.box(x + inset, top - rng.uniform(0.02, 0.06), x + wide - inset, top)
    elif kind < 0.42:
        shape.polygon([(x, top), (x + wide / 2, top - 0.05), (x + wide, top)])
    elif kind < 0.55:
        mast = x + wide * rng.uniform(0.3, 0.7)
        shape.box(mast - 0.0012, top - rng.uniform(0.04, 0.1), mast + 0.0012, top)


def _windows(
    canvas: Canvas,
    lit: list[Mask],
    x: float,
    top: float,
    wide: float,
    foot: float,
    near: float,
    *,
    dark: bool,
) -> None:
    rng = canvas.rng
    columns = max(3, round(wide / (0.011 + 0.004 * near)))
    step = wide / columns
    high = step * canvas.shape * 1.25
    share = rng.uniform(0.25, 0.6) if dark else rng.uniform(0.05, 0.2)
    y = top + high * 0.8
    while y < foot - high:
        for column in range(columns):
            if rng.random() < share:
                left = x + step * (column + 0.25)
                shade = rng.uniform(0.45, 1.0)
                rng.choice(lit).box(left, y, left + step * 0.5, y + high * 0.5, shade)
        y += high
