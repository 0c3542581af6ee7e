"""Requests that may be sent again: the same key, the same result, charged once."""
