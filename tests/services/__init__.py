"""The services, over real adapters where there are some."""
