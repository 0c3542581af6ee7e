"""Models, who serves them, and at which price. Only zero-data-retention providers exist here."""
