"""Other people's libraries as clients of a really started server; run by scripts/test-clients."""
