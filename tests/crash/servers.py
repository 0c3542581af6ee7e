"""A server that dies when it is told to, and comes back on the same data folder."""

LAUNCHER = "tests.crash.launcher"
