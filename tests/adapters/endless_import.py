"""A module that is never done with being loaded."""

from __future__ import annotations

import time

time.sleep(3_600)
