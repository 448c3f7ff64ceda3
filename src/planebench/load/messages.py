"""The API server's error messages, made countable: an object's names become placeholders."""

from __future__ import annotations

import re
from typing import Final

MOST_MESSAGES: Final = 100
OTHERS: Final = "(other messages)"

_UID: Final = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_NUMBER: Final = re.compile(r"\b\d{5,}\b")


def collapse(message: str, name: str, namespace: str) -> str:
    """A message without what differs from object to object: its name, namespace, UIDs and long numbers.

    Names are replaced where they stand as a word of their own, quoted or in a path.
    """
    for word, placeholder in ((name, "<name>"), (namespace, "<namespace>")):
        if word and word in message:
            message = re.sub(rf"(?<![\w.-]){re.escape(word)}(?![\w-]|\.\w)", placeholder, message)
    message = _UID.sub("<uid>", message)
    return _NUMBER.sub("<number>", message)


class Messages:
    """Counts of messages; after the first hundred different ones, the rest counts as others."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, message: str) -> str:
        """Count a message; returns what it counts as."""
        if message not in self.counts and len(self.counts) >= MOST_MESSAGES:
            message = OTHERS
        self.counts[message] = self.counts.get(message, 0) + 1
        return message
