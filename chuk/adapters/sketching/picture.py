"""One picture, from its words: the ground first, then what stands on it, then the air between."""

from __future__ import annotations

import math
from random import Random

from PIL import Image

from chuk.adapters.sketching.beyond import paint_abstract, paint_space
from chuk.adapters.sketching.canvas import Canvas
from chuk.adapters.sketching.city import paint_city
from chuk.adapters.sketching.figures import paint_portrait
from chuk.adapters.sketching.growth import (
    paint_bokeh,
    paint_flower,
    paint_forest,
    paint_meadow_flowers,
    paint_tree,
)
from chuk.adapters.sketching.land import (
    paint_dunes,
    paint_hills,
    paint_mountains,
    paint_shore,
    paint_water,
)
from chuk.adapters.sketching.landmarks import paint_boat, paint_cat, paint_house, paint_lighthouse
from chuk.adapters.sketching.palettes import Palette, palette_of
from chuk.adapters.sketching.sky import paint_birds, paint_sky, paint_weather
from chuk.adapters.sketching.words import Theme, theme_of

_MOST_PIXELS = 1_400_000
_SCENIC = frozenset({"sea", "mountains", "forest", "city", "desert", "meadow"})


def draw(prompt: str, seed: int, width: int, height: int) -> Image.Image:
    """The picture of a prompt; the same for the same prompt, seed and size."""
    # Not for secrets: whoever has both may know what is drawn.
    rng = Random(f"{seed}:{prompt}")  # noqa: S311
    theme = theme_of(prompt, rng)
    tints = (
        () if theme.subject in ("flower", "portrait", "boat", "house", "tree") else theme.colours
    )
    palette = palette_of(theme.hour, tints, rng)
    # Large ones are drawn smaller, for the sake of time; only their grain is as fine as they are.
    share = min(1.0, math.sqrt(_MOST_PIXELS / (width * height)))
    canvas = Canvas(max(1, round(width * share)), max(1, round(height * share)), rng)
    if "space" in theme.places:
        paint_space(canvas, theme)
    elif "abstract" in theme.places:
        paint_abstract(canvas, theme)
    elif theme.subject in ("flower", "portrait") and not _SCENIC & set(theme.places):
        paint_bokeh(canvas, theme, palette)
    else:
        _scene(canvas, theme, palette)
    _subject(canvas, theme, palette)
    paint_weather(canvas, theme)
    canvas.finish(width, height)
    return canvas.image


def _scene(canvas: Canvas, theme: Theme, palette: Palette) -> None:
    """A view: sky, the far, the near."""
    rng = canvas.rng
    places = set(theme.places) or {"meadow"}
    horizon = rng.uniform(0.5, 0.62)
    if places == {"city"}:
        horizon = 0.92
    elif "mountains" in places and "sea" not in places:
        horizon = rng.uniform(0.54, 0.62)
    light_x, _ = paint_sky(canvas, theme, palette, horizon)
    if "birds" in theme.extras or ("sea" in places and rng.random() < 0.5):
        paint_birds(canvas, palette)
    if "mountains" in places:
        far = bool(places & {"sea", "forest", "city", "meadow", "desert"})
        paint_mountains(canvas, theme, palette, horizon, layers=2 if far else 4)
    if "city" in places:
        paint_city(canvas, theme, palette, horizon)
    if "sea" in places:
        _water(canvas, theme, palette, horizon, light_x)
    elif "desert" in places:
        paint_dunes(canvas, palette, horizon)
    elif "forest" in places:
        paint_forest(canvas, theme, palette, horizon)
    elif "meadow" in places:
        paint_hills(canvas, theme, palette, horizon)
        if "snow" not in theme.extras and theme.subject != "house":
            paint_meadow_flowers(canvas, theme, horizon)


def _water(canvas: Canvas, theme: Theme, palette: Palette, horizon: float, light_x: float) -> None:
    still = "still" in theme.extras or bool({"mountains", "city"} & set(theme.places))
    paint_water(canvas, palette, horizon, light_x, still=still)
    if theme.subject == "lighthouse":
        paint_lighthouse(canvas, palette, horizon)
    elif theme.subject == "boat" or (not still and canvas.rng.random() < 0.35):
        paint_boat(canvas, theme, palette, horizon)
    elif not still:
        paint_shore(canvas, palette)


def _subject(canvas: Canvas, theme: Theme, palette: Palette) -> None:
    """What stands in front of it all."""
    if theme.subject in ("flower", "portrait") and _SCENIC & set(theme.places):
        canvas.soften(0.012)
    if theme.subject == "flower":
        paint_flower(canvas, theme, palette)
    elif theme.subject == "portrait":
        paint_portrait(canvas, theme, palette)
    elif theme.subject == "cat":
        paint_cat(canvas, palette)
    elif theme.subject == "tree":
        paint_tree(canvas, theme, palette)
    elif theme.subject == "house":
        paint_house(canvas, theme, palette)
