"""Tests of what the server tells those who watch it."""
