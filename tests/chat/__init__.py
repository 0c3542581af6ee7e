"""The life of a turn, without a transport and without an upstream."""
