"""The embedded parts as a machine has them once: a host process, and those who speak to it."""
