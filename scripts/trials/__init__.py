"""Hard days for the server, made on purpose: load, a long soak, failing services, fuzzing.

`scripts/load`, `scripts/soak`, `scripts/faults` and `scripts/fuzz` run these modules. Each prints
what it found and one last line with its verdict; its exit code is 0 for a good one, else 1.
"""
