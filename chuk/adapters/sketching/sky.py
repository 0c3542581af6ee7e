"""What is above: light, clouds, stars, birds, weather."""

from __future__ import annotations

import math

from PIL import Image, ImageChops

from chuk.adapters.sketching.canvas import Canvas, mix
from chuk.adapters.sketching.palettes import Palette
from chuk.adapters.sketching.words import Theme


def paint_sky(
    canvas: Canvas, theme: Theme, palette: Palette, horizon: float
) -> tuple[float, float]:
    """Paint the whole sky down to the horizon; return where its light stands."""
    rng = canvas.rng
    canvas.image = canvas.gradient(palette.sky, 0.0, horizon)
    x = rng.choice((rng.uniform(0.2, 0.4), rng.uniform(0.6, 0.8)))
    low = theme.hour in ("sunset", "dawn")
    y = horizon * (rng.uniform(0.72, 0.9) if low else rng.uniform(0.25, 0.45))
    if palette.is_dark:
        _stars(canvas, horizon)
        if "aurora" in theme.extras:
            _aurora(canvas, horizon)
    if theme.hour != "grey":
        _light(canvas, palette, x, y, low=low)
    _clouds(canvas, theme, palette, horizon)
    return x, y


def _light(canvas: Canvas, palette: Palette, x: float, y: float, *, low: bool) -> None:
    """The sun; by night the moon."""
    if palette.is_dark:
        canvas.glow(x, y, 0.5, palette.light, 0.4)
        moon = canvas.mask()
        moon.disc(x, y, 0.06)
        canvas.fill(moon.done(), palette.light)
        spots = canvas.mask()
        for _ in range(5):
            angle, away = canvas.rng.uniform(0, math.tau), canvas.rng.uniform(0, 0.035)
            spots.disc(
                x + away * math.cos(angle) * canvas.across,
                y + away * math.sin(angle) * canvas.along,
                canvas.rng.uniform(0.006, 0.014),
            )
        canvas.fill(spots.done(soft=0.003, opacity=0.3), mix(palette.light, palette.haze, 0.5))
        return
    canvas.glow(x, y, 0.85 if low else 0.6, palette.light, 0.5 if low else 0.4)
    canvas.glow(x, y, 0.26, palette.light, 0.8)
    sun = canvas.mask()
    sun.disc(x, y, 0.075 if low else 0.05)
    canvas.fill(sun.done(soft=0.003), mix(palette.light, (255, 255, 255), 0.45))


def _stars(canvas: Canvas, horizon: float) -> None:
    rng = canvas.rng
    for size, count, shade in ((0.0011, 220, 0.55), (0.0017, 80, 0.85), (0.0028, 14, 1.0)):
        stars = canvas.mask()
        for _ in range(count):
            x, y = rng.random(), rng.random() ** 1.3 * horizon
            stars.disc(x, y, size * rng.uniform(0.7, 1.2), shade=shade * rng.uniform(0.4, 1))
        canvas.screen((255, 250, 240), stars.done())


def _aurora(canvas: Canvas, horizon: float) -> None:
    """Curtains of light: wandering bands, bright below and fading upwards."""
    rng = canvas.rng
    for colour, strength in (((64, 226, 148), 0.75), ((96, 148, 236), 0.45), ((176, 92, 210), 0.4)):
        base, phase, wave = (
            rng.uniform(0.35, 0.7) * horizon,
            rng.uniform(0, 6),
            rng.uniform(0.8, 1.6),
        )
        light = canvas.mask()
        for step in range(140):
            x = step / 139
            foot = base + 0.08 * math.sin(phase + x * 6 * wave) + 0.03 * math.sin(phase + x * 17)
            tall = rng.uniform(0.16, 0.3) * horizon
            for part in range(8):
                top = foot - tall * (part + 1) / 8
                shade = strength * (1 - part / 8) ** 1.6
                light.box(x - 0.005, top, x + 0.005, foot - tall * part / 8, shade)
        canvas.screen(colour, light.done(soft=0.012))


def _clouds(canvas: Canvas, theme: Theme, palette: Palette, horizon: float) -> None:
    heavy = theme.hour == "grey"
    amount = 150 if heavy else canvas.rng.choice((116, 126, 136))
    if palette.is_dark:
        amount -= 22
    noise = canvas.clouds(3.2, stretch=2.6)
    table = [max(0, min(255, (v - (255 - amount)) * 5)) for v in range(256)]
    cover = noise.point(table)
    # Thin at the top and none at the horizon, where mist is.
    fade = canvas.gradient(
        ((0.0, (60,) * 3), (0.35, (190,) * 3), (0.8, (150,) * 3), (1.0, (0,) * 3)), 0.0, horizon
    ).getchannel("R")
    cover = ImageChops.multiply(cover, fade)
    lit = mix(palette.light, palette.haze, 0.55 if palette.is_dark else 0.15)
    shade = mix(palette.haze, palette.stone, 0.5)
    # Their lower sides are darker: the same clouds, moved down a little, in shade.
    moved = ImageChops.offset(cover, 0, round(0.012 * min(canvas.width, canvas.height)))
    strength = 0.35 if palette.is_dark else 0.6
    canvas.image.paste(shade, (0, 0), moved.point([round(v * strength) for v in range(256)]))
    strength = 0.3 if palette.is_dark else 0.85
    canvas.image.paste(lit, (0, 0), cover.point([round(v * strength) for v in range(256)]))


def paint_birds(canvas: Canvas, palette: Palette) -> None:
    """A few birds far away."""
    rng = canvas.rng
    birds = canvas.mask()
    x, y = rng.uniform(0.25, 0.65), rng.uniform(0.16, 0.34)
    for _ in range(rng.randint(4, 7)):
        at_x = x + rng.uniform(-0.12, 0.12)
        at_y = y + rng.uniform(-0.06, 0.06)
        span = rng.uniform(0.012, 0.024)
        wing_x, wing_y = span * canvas.across, span * canvas.along
        for side in (-1, 1):
            wing = [
                (at_x, at_y),
                (at_x + side * wing_x * 0.5, at_y - wing_y * 0.55),
                (at_x + side * wing_x, at_y - wing_y * 0.2),
            ]
            birds.line(wing, 0.0028)
    canvas.fill(birds.done(opacity=0.8), palette.near)


def paint_weather(canvas: Canvas, theme: Theme) -> None:
    """Rain or snow in front of everything."""
    rng = canvas.rng
    if "rain" in theme.extras:
        drops = canvas.mask()
        lean = rng.uniform(-0.012, 0.012)
        for _ in range(420):
            x, y, length = rng.uniform(-0.05, 1.05), rng.uniform(-0.05, 1), rng.uniform(0.02, 0.06)
            drops.line([(x, y), (x + lean, y + length)], 0.0014, rng.uniform(0.25, 0.6))
        canvas.screen((196, 208, 222), drops.done(opacity=0.6))
    if "snow" in theme.extras:
        for size, count, soft in ((0.003, 260, 0.001), (0.006, 90, 0.002), (0.012, 18, 0.006)):
            flakes = canvas.mask()
            for _ in range(count):
                flakes.disc(rng.random(), rng.random(), size * rng.uniform(0.6, 1.3), 0.9)
            canvas.image.paste((255, 255, 255), (0, 0), flakes.done(soft=soft, opacity=0.75))


def light_path(canvas: Canvas, x: float, top: float, palette: Palette, bottom: float = 1.0) -> None:
    """The light's glitter on water, from the horizon towards us."""
    rng = canvas.rng
    glitter = canvas.mask()
    for _ in range(420):
        depth = rng.random() ** 0.8
        y = top + (bottom - top) * depth
        spread = 0.012 + 0.1 * depth
        at = x + rng.gauss(0, spread) * 0.8
        long = rng.uniform(0.006, 0.03) * (0.4 + depth)
        thick = (0.0012 + 0.0035 * depth) * canvas.along
        glitter.box(at - long, y, at + long, y + thick, rng.uniform(0.3, 1.0))
    light: Image.Image = glitter.done(soft=0.0014, opacity=0.75)
    canvas.screen(palette.light, light)
