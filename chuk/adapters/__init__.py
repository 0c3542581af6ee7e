"""One outside system each, translating its exceptions at the edge."""
