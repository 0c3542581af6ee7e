"""The languages that recognisers know, by their codes and by the names they answer with."""

from __future__ import annotations

_NAMES = """
en english, zh chinese, de german, es spanish, ru russian, ko korean, fr french, ja japanese,
pt portuguese, tr turkish, pl polish, ca catalan, nl dutch, ar arabic, sv swedish, it italian,
id indonesian, hi hindi, fi finnish, vi vietnamese, he hebrew, uk ukrainian, el greek, ms malay,
cs czech, ro romanian, da danish, hu hungarian, ta tamil, no norwegian, th thai, ur urdu,
hr croatian, bg bulgarian, lt lithuanian, la latin, mi maori, ml malayalam, cy welsh, sk slovak,
te telugu, fa persian, lv latvian, bn bengali, sr serbian, az azerbaijani, sl slovenian,
kn kannada, et estonian, mk macedonian, br breton, eu basque, is icelandic, hy armenian,
ne nepali, mn mongolian, bs bosnian, kk kazakh, sq albanian, sw swahili, gl galician, mr marathi,
pa punjabi, si sinhala, km khmer, sn shona, yo yoruba, so somali, af afrikaans, oc occitan,
ka georgian, be belarusian, tg tajik, sd sindhi, gu gujarati, am amharic, yi yiddish, lo lao,
uz uzbek, fo faroese, ht haitian creole, ps pashto, tk turkmen, nn nynorsk, mt maltese,
sa sanskrit, lb luxembourgish, my myanmar, bo tibetan, tl tagalog, mg malagasy, as assamese,
tt tatar, haw hawaiian, ln lingala, ha hausa, ba bashkir, jv javanese, su sundanese, yue cantonese
"""

_CODES = {
    name: code
    for code, _, name in (entry.strip().partition(" ") for entry in _NAMES.strip().split(","))
}

_WORDS = {code: name for name, code in _CODES.items()}

LANGUAGES = frozenset(code for code in _CODES.values() if len(code) == 2)
"""ISO 639-1 codes that may be asked for."""


def code_of(name: str) -> str | None:
    """The code of a language that a recogniser names (`English`, or `en`); None: unknown."""
    lowered = name.strip().lower()
    return lowered if lowered in _CODES.values() else _CODES.get(lowered)


def name_of(code: str) -> str:
    """The English name of a language, in small letters; of one that is not known, its code."""
    return _WORDS.get(code, code)
