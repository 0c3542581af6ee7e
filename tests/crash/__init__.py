"""Kills the server at a chosen commit, starts it again, and compares the books."""
