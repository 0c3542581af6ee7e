"""What every request passes: ids, envelopes, auth, limits, bodies, stream framing."""
