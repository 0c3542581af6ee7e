"""Attacks on a running server, ordered as the OWASP API Security Top 10 (2023) orders them."""
