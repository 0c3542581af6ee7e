"""Chuk Chat's backend: one aiohttp application that signs people in and streams answers."""

__version__ = "0.1.0"
