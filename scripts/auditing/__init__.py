"""Asks advisory databases which pinned packages have known holes."""
