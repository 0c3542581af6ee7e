"""How fast the server relays a stream, and what a stream costs, beside two other relays.

Three relays, each on one core, stand between the same clients and the same fake upstreams:

- chuk: this server, as `python -m chuk serve` starts it;
- bare: a byte relay on uvloop that understands nothing; the limit of what one core can do;
- fastapi: FastAPI, httpx and sse-starlette on uvicorn; what one would write otherwise.

`scripts/bench` runs it; `docs/benchmark.md` says what each figure means.
"""
