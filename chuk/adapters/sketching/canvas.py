"""A surface to draw on: places are fractions of its sides, edges are smooth, grain hides bands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Point = tuple[float, float]
Stops = Sequence[tuple[float, Colour]]
"""Places from 0 to 1 and the colour at each, in order."""

View = tuple[float, float, float, float]
"""Left, top, right and bottom of a part, in fractions of the whole."""

_WHOLE: View = (0.0, 0.0, 1.0, 1.0)
_FINER = 2
_FULL = 255
# How bright Pillow's radial gradient, inverted, still is in the middle of an edge.
_RIM = 79


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """`share` of the other colour in the one."""
    first, second, third = (
        round(a + (b - a) * max(0.0, min(1.0, share))) for a, b in zip(one, other, strict=True)
    )
    return first, second, third


def colour_at(stops: Stops, place: float) -> Colour:
    """The colour of a gradient at one place."""
    before = stops[0]
    for stop in stops:
        if place <= stop[0]:
            span = stop[0] - before[0]
            return mix(before[1], stop[1], (place - before[0]) / span if span else 0.0)
        before = stop
    return before[1]


class Mask:
    """A shape in the making, at twice the canvas's resolution."""

    def __init__(self, width: int, height: int, short: int, view: View = _WHOLE) -> None:
        self._width, self._height = width * _FINER, height * _FINER
        self._unit = short * _FINER
        self._left, self._top, right, bottom = view
        self._wide, self._high = right - self._left, bottom - self._top
        self._image = Image.new("L", (self._width, self._height))
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, points: Iterable[Point], shade: float = 1.0) -> None:
        """Fill a polygon; `shade` 0 cuts it out."""
        self._draw.polygon([self._place(point) for point in points], fill=round(_FULL * shade))

    def disc(self, x: float, y: float, radius: float, shade: float = 1.0) -> None:
        """Fill a circle; its radius is a fraction of the shorter side."""
        self.oval(x, y, radius, radius, shade=shade)

    def oval(
        self,
        x: float,
        y: float,
        across: float,
        along: float,
        *,
        turn: float = 0.0,
        shade: float = 1.0,
    ) -> None:
        """Fill an ellipse, turned by radians; both radii are fractions of the shorter side."""
        centre_x, centre_y = self._place((x, y))
        cos, sin = math.cos(turn), math.sin(turn)
        points = []
        for step in range(48):
            angle = step * math.tau / 48
            right, down = math.cos(angle) * across, math.sin(angle) * along
            points.append(
                (
                    centre_x + (right * cos - down * sin) * self._unit,
                    centre_y + (right * sin + down * cos) * self._unit,
                )
            )
        self._draw.polygon(points, fill=round(_FULL * shade))

    def box(self, left: float, top: float, right: float, bottom: float, shade: float = 1.0) -> None:
        """Fill a rectangle."""
        if right > left and bottom > top:
            corners = [*self._place((left, top)), *self._place((right, bottom))]
            self._draw.rectangle(corners, fill=round(_FULL * shade))

    def line(self, points: Sequence[Point], width: float, shade: float = 1.0) -> None:
        """Draw a line; its width is a fraction of the shorter side."""
        thick = max(1, round(width * self._unit))
        placed = [self._place(point) for point in points]
        self._draw.line(placed, fill=round(_FULL * shade), width=thick, joint="curve")

    def done(self, *, soft: float = 0.0, opacity: float = 1.0) -> Image.Image:
        """The shape at the canvas's own resolution; `soft` blurs it, in shorter sides."""
        image = self._image.reduce(_FINER)
        if soft:
            image = image.filter(ImageFilter.GaussianBlur(soft * self._unit / _FINER))
        if opacity < 1:
            image = image.point([round(value * opacity) for value in range(256)])
        return image

    def _place(self, point: Point) -> Point:
        return (
            (point[0] - self._left) / self._wide * self._width,
            (point[1] - self._top) / self._high * self._height,
        )


class Canvas:
    """A picture in the making.

    Attributes:
        shape: width by height.
        across, along: how much of the width and the height the shorter side is.
    """

    def __init__(self, width: int, height: int, rng: Random) -> None:
        self.image = Image.new("RGB", (width, height))
        self.rng = rng
        self.width, self.height = width, height
        self._short, self._view = min(width, height), _WHOLE
        self.shape = width / height
        self.across, self.along = min(width, height) / width, min(width, height) / height

    def mask(self) -> Mask:
        """An empty shape of this size."""
        return Mask(self.width, self.height, self._short, self._view)

    @contextmanager
    def part(self, x: float, y: float, reach: float) -> Iterator[Canvas]:
        """Only what is around a place: what is small is drawn there much faster.

        Shapes and gradients have the same coordinates there; glow and haze do not.

        Args:
            reach: how far from the place, in shorter sides.
        """
        left = max(0, math.floor(x * self.width - reach * self._short))
        top = max(0, math.floor(y * self.height - reach * self._short))
        right = min(self.width, math.ceil(x * self.width + reach * self._short))
        bottom = min(self.height, math.ceil(y * self.height + reach * self._short))
        part = copy(self)
        part.image = self.image.crop((left, top, right, bottom))
        part.width, part.height = part.image.size
        part._view = (
            left / self.width,
            top / self.height,
            right / self.width,
            bottom / self.height,
        )
        yield part
        self.image.paste(part.image, (left, top))

    def pixels(self, length: float) -> int:
        """A length in shorter sides, in whole pixels."""
        return round(length * self._short)

    def gradient(self, stops: Stops, top: float = 0.0, bottom: float = 1.0) -> Image.Image:
        """A picture of this size whose colours run downwards from `top` to `bottom`."""
        column = Image.new("RGB", (1, self.height))
        span = max(bottom - top, 1e-6)
        for row in range(self.height):
            y = self._view[1] + (row + 0.5) / self.height * (self._view[3] - self._view[1])
            place = (y - top) / span
            column.putpixel((0, row), colour_at(stops, min(1.0, max(0.0, place))))
        return column.resize((self.width, self.height), Image.Resampling.NEAREST)

    def fill(
        self, shape: Image.Image, upper: Colour, lower: Colour | None = None, *spans: float
    ) -> None:
        """Colour a shape; with two colours, from the first of `spans` down to the second."""
        if lower is None:
            self.image.paste(upper, (0, 0), shape)
        else:
            paint = self.gradient(((0.0, upper), (1.0, lower)), *spans)
            self.image.paste(paint, (0, 0), shape)

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float) -> None:
        """Light that falls off around a place; the radius is in shorter sides."""
        size = max(2, round(2 * radius * self._short))
        light = ImageChops.invert(Image.radial_gradient("L")).resize((size, size))
        # Softer than linear, and nothing at all at the edge of the square.
        table = [(max(0, v - _RIM) / (_FULL - _RIM)) ** 1.7 for v in range(256)]
        light = light.point([round(strength * _FULL * share) for share in table])
        where = (round(x * self.width - size / 2), round(y * self.height - size / 2))
        full = Image.new("L", self.image.size)
        full.paste(light, where)
        self.screen(colour, full)

    def screen(self, colour: Colour, light: Image.Image) -> None:
        """Add light of a colour where `light` says; it brightens and never darkens."""
        tinted = Image.new("RGB", self.image.size)
        tinted.paste(colour, (0, 0), light)
        self.image = ImageChops.screen(self.image, tinted)

    def haze(self, y: float, thickness: float, colour: Colour, strength: float) -> None:
        """A soft band of mist around a height."""
        column = Image.new("L", (1, self.height))
        for row in range(self.height):
            away = ((row + 0.5) / self.height - y) / thickness
            column.putpixel((0, row), round(255 * strength * math.exp(-away * away)))
        band = column.resize(self.image.size, Image.Resampling.NEAREST)
        self.image.paste(colour, (0, 0), band)

    def clouds(self, cells: float, stretch: float = 1.0, octaves: int = 5) -> Image.Image:
        """Grey that wanders like clouds or water: 0 to 255, about 128 on the average.

        Args:
            cells: how many swellings fit in the shorter side.
            stretch: how much longer than high they are.
        """
        short = self._short
        total: Image.Image | None = None
        share = 1.0
        for octave in range(octaves):
            count = cells * 2**octave
            columns = max(2, math.ceil(count * self.width / short / stretch) + 1)
            rows = max(2, math.ceil(count * self.height / short) + 1)
            if columns > self.width or rows > self.height:
                break
            small = Image.frombytes("L", (columns, rows), self.rng.randbytes(columns * rows))
            layer = small.resize(self.image.size, Image.Resampling.BICUBIC)
            total = layer if total is None else Image.blend(total, layer, share / (1 + share))
            share *= 0.55
        return total if total is not None else Image.new("L", self.image.size, 128)

    def soften(self, radius: float) -> None:
        """Blur all that is there; the radius is in shorter sides."""
        blur = ImageFilter.GaussianBlur(radius * self._short)
        self.image = self.image.filter(blur)

    def finish(self, width: int, height: int, grain: int = 3) -> None:
        """Bring it to its size: a little darker towards the corners, with a fine grain.

        The grain hides the steps of gradients.
        """
        if self.image.size != (width, height):
            self.image = self.image.resize((width, height), Image.Resampling.LANCZOS)
        light = ImageChops.invert(Image.radial_gradient("L")).resize(self.image.size)
        light = light.point([min(255, 176 + round(v * 0.62)) for v in range(256)])
        self.image = ImageChops.multiply(self.image, Image.merge("RGB", (light,) * 3))
        noise = Image.frombytes("L", self.image.size, self.rng.randbytes(width * height))
        noise = noise.filter(ImageFilter.GaussianBlur(0.6))
        table = [128 + round((v - 128) * grain / 40) for v in range(256)]
        flat = Image.merge("RGB", (noise.point(table),) * 3)
        self.image = ImageChops.add(self.image, flat, 1.0, -128)
