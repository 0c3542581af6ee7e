"""The shipped configurations of nginx and Caddy, under the real programs."""
