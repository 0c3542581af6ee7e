"""Every promise of the server, kept."""
