"""How many tokens a text is, where nobody has counted.

Without the model's own tokenizer a count can only be bounded. Byte-pair tokenizers make one
token of about four bytes of English, of one to three bytes of other scripts, and never more
tokens than bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

from chuk.chat.command import Message

_BYTES_PER_TOKEN = 4
_BYTES_PER_TOKEN_AT_BEST = 8
_TOKENS_PER_MESSAGE = 4
_TOKENS_PER_IMAGE = 1_000
_MOST_TOKENS_PER_IMAGE = 2_000


def text_tokens(size: int) -> int:
    """A likely count for a text of `size` UTF-8 bytes; at least 1 when there is any text."""
    return -(-size // _BYTES_PER_TOKEN)


def prompt_tokens(messages: Iterable[Message], more: int = 0) -> int:
    """A likely count for a whole prompt, images included.

    `more` bytes of other text go with it: the tools that are offered.
    """
    return text_tokens(more) + sum(
        text_tokens(len(message.text.encode()) + len(message.tool_calls))
        + _TOKENS_PER_MESSAGE
        + _TOKENS_PER_IMAGE * len(message.images)
        for message in messages
    )


def fewest_prompt_tokens(messages: Iterable[Message], more: int = 0) -> int:
    """A count that the prompt surely reaches: what exceeds a context by this, cannot fit it."""
    size = more + sum(len(message.text.encode()) + len(message.tool_calls) for message in messages)
    return size // _BYTES_PER_TOKEN_AT_BEST


def cautious_prompt_tokens(likely: int, images: int) -> int:
    """A count that the prompt will hardly exceed, from `prompt_tokens` of it.

    A third more than likely: three bytes a token instead of four, which is what code and most
    scripts besides the Latin one come to. Worse exists (emoji, random letters), but never for a
    whole conversation, and what it costs above its hold is still taken. An image is counted as
    the largest are by most models; it is the part that varies most.
    """
    return likely + -(-likely // 3) + (_MOST_TOKENS_PER_IMAGE - _TOKENS_PER_IMAGE) * images
