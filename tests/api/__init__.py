"""The areas, as clients meet them."""
