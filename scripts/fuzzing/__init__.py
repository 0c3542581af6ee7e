"""Input that nobody would send, made by programs: `scripts/fuzz` runs these modules."""
