"""Keys: what they stand for, and who works for them."""
