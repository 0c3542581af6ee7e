"""What an operator's Prometheus reads: families made of the services' plain counters, on a port of
their own.

Nothing here is called while the server works; the services count, and a reading looks.
"""
