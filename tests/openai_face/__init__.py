"""The OpenAI face, asked by OpenAI's own library, unmodified."""
