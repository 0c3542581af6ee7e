"""The adapters, each against a stand-in for its outside system."""
