"""One server for each outside system, over its real protocol."""
