"""What a prompt's words mean for a picture: a few nouns, moods and colours, English and German."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from chuk.adapters.sketching.canvas import Colour

_WORD = re.compile(r"[^\W\d_]+")

HOURS = {
    "sunset": "sunset dusk evening twilight golden sundown sonnenuntergang abend dämmerung",
    "dawn": "sunrise dawn morning daybreak pastel sonnenaufgang morgen morgengrauen",
    "night": "night midnight moon moonlit stars starry aurora borealis polarlicht polarlichter dark"
    " nacht mond sterne nachts",
    "grey": "storm stormy rain rainy fog foggy mist misty cloudy gloomy regen nebel sturm grau",
    "day": "day noon sunny bright sun summer tag sonnig sonne sommer",
}
PLACES = {
    "sea": "sea ocean beach coast wave waves water harbour harbor island shore ship boat sailboat"
    " lighthouse lake river meer ozean strand küste see insel schiff boot leuchtturm fluss",
    "mountains": "mountain mountains alps peak peaks summit hill hills valley cliff canyon volcano"
    " berg berge alpen gipfel tal hügel",
    "forest": "forest woods wood jungle pine pines trees fir wald bäume wälder tannen",
    "city": "city town skyline street building buildings skyscraper skyscrapers downtown urban"
    " cyberpunk neon stadt straße hochhaus gebäude",
    "desert": "desert dune dunes sahara sand camel oasis wüste düne dünen",
    "meadow": "meadow field fields garden grass countryside farm prairie landscape village park"
    " spring wiese feld garten dorf frühling landschaft",
    "space": "space galaxy planet planets nebula universe cosmos cosmic astronaut orbit rocket"
    " weltraum galaxie planet kosmos universum",
    "abstract": "abstract pattern geometric shapes music dream dreams thoughts idea logo art"
    " wallpaper abstrakt muster traum musik",
}
SUBJECTS = {
    "portrait": "portrait woman man girl boy face person lady child selfie people warrior queen"
    " king wizard elder porträt frau mann mädchen junge gesicht mensch kind",
    "flower": "flower flowers rose roses tulip tulips lily daisy sunflower blossom bouquet orchid"
    " lotus blume blumen tulpe sonnenblume blüte",
    "cat": "cat kitten cats kitty tiger lion fox dog puppy wolf animal katze kätzchen kater hund",
    "tree": "tree oak cherry willow maple baum eiche kirschbaum",
    "house": "house cottage cabin hut home barn haus hütte",
    "boat": "ship boat sailboat sailing yacht schiff boot segelboot",
    "lighthouse": "lighthouse leuchtturm",
}
EXTRAS = {
    "snow": "snow snowy winter ice christmas frozen arctic schnee winter eis weihnachten",
    "rain": "rain rainy storm regen sturm",
    "birds": "bird birds seagull seagulls eagle vogel vögel möwe",
    "aurora": "aurora borealis northern polarlicht polarlichter",
    "moon": "moon moonlit mond",
    "still": "lake river reflection calm see fluss spiegelung",
    "neon": "neon cyberpunk synthwave futuristic",
}
COLOURS: dict[str, Colour] = {
    "red": (206, 48, 52),
    "orange": (236, 128, 44),
    "yellow": (246, 205, 72),
    "green": (66, 150, 90),
    "teal": (34, 142, 146),
    "blue": (52, 104, 196),
    "purple": (122, 74, 176),
    "pink": (236, 122, 164),
    "white": (244, 242, 236),
    "black": (38, 38, 46),
    "gold": (222, 174, 72),
    "brown": (132, 88, 58),
}
_ALSO = {
    "rot": "red",
    "rote": "red",
    "gelb": "yellow",
    "grün": "green",
    "blau": "blue",
    "blaue": "blue",
    "lila": "purple",
    "violet": "purple",
    "rosa": "pink",
    "weiß": "white",
    "schwarz": "black",
    "golden": "gold",
    "turquoise": "teal",
    # Flowers that everybody knows by their colour.
    "sunflower": "yellow",
    "sunflowers": "yellow",
    "sonnenblume": "yellow",
    "rose": "red",
    "roses": "red",
    "tulip": "red",
    "tulips": "red",
    "tulpe": "red",
    "lily": "white",
    "daisy": "white",
    "lotus": "pink",
    "orchid": "purple",
    "cherry": "pink",
    "kirschbaum": "pink",
}
_LANDS = ("sea", "mountains", "forest", "meadow", "desert", "abstract")


@dataclass(frozen=True, slots=True)
class Theme:
    """What is drawn.

    Attributes:
        hour: the light.
        places: from the most important on.
        subject: what stands in front, if anything.
        colours: those that the prompt names, in order.
    """

    hour: str
    places: tuple[str, ...]
    subject: str | None
    extras: frozenset[str]
    colours: tuple[Colour, ...]


def theme_of(prompt: str, rng: Random) -> Theme:
    """Find the theme; what the words leave open, `rng` decides."""
    words = [word.lower() for word in _WORD.findall(prompt)]
    places = _named(words, PLACES)
    subjects = _named(words, SUBJECTS)
    extras = frozenset(_named(words, EXTRAS))
    hours = _named(words, HOURS)
    colours = tuple(
        COLOURS[_ALSO.get(word, word)] for word in words if _ALSO.get(word, word) in COLOURS
    )
    # Both are drawn whatever they find, so that a prompt's other choices do not depend on them.
    land, hour = rng.choice(_LANDS), rng.choice(("day", "dawn", "sunset", "sunset", "day"))
    if not places and not subjects:
        places = [land]
    if subjects[:1] in (["tree"], ["house"]) and not set(places) & {"forest", "desert", "sea"}:
        # They stand on something.
        places.append("meadow")
    if places[:1] == ["city"]:
        hour = rng.choice(("sunset", "night", "dawn"))
    if "aurora" in extras or "neon" in extras:
        # Both are seen by night alone.
        hours = ["night"]
    return Theme(
        hour=hours[0] if hours else hour,
        places=tuple(places),
        subject=subjects[0] if subjects else None,
        extras=extras,
        colours=colours,
    )


def _named(words: list[str], meanings: dict[str, str]) -> list[str]:
    """The meanings that the words have, in the order in which they are said."""
    by_word: dict[str, str] = {}
    for meaning, names in meanings.items():
        by_word |= dict.fromkeys(names.split(), meaning)
    return list(dict.fromkeys(by_word[word] for word in words if word in by_word))
