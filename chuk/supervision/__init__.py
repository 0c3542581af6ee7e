"""Several processes that serve one address, and the one that looks after them."""
