"""The life of a chat turn: hold, stream, settle. Knows no transport and no provider."""
