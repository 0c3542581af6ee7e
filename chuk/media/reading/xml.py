"""XML, as it stands."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from chuk.errors import CorruptFile
from chuk.media.reading.desk import Desk
from chuk.media.reading.encoding import decode
from chuk.media.reading.markdown import fence
from chuk.media.reading.source import Reading, Source, of_text

_DECLARED = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding=[\"']([\w.:-]{1,40})[\"']")


def read(source: Source, desk: Desk) -> Reading:
    """The text in a fence, once it is known to hold no bomb."""
    parsed(source.data)
    return of_text(fence(as_text(source.data)[: desk.budget.characters + 1], "xml"))


def as_text(data: bytes) -> str:
    """XML in its own encoding."""
    declared = _DECLARED.match(data)
    return decode(data, declared[1].decode() if declared else None)


def parsed(data: bytes) -> Element | None:
    """The root; None: it is not well-formed.

    Raises:
        CorruptFile: it defines entities, which are of use to bombs and burglars alone.
    """
    try:
        root: Element = defusedxml.ElementTree.fromstring(data)
    except DefusedXmlException:
        raise CorruptFile("This file defines entities, which are not read.") from None
    # An encoding that expat does not know is a LookupError or a ValueError.
    except (ParseError, LookupError, ValueError):
        return None
    return root
