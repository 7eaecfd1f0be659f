"""Pictograms: five emoji that tell devices apart by eye (protocol section 2).

The table is the emoji list of the Matrix specification's short authentication string. 30 bits can
be searched, so a pictogram never replaces a fingerprint or a binding.
"""

from __future__ import annotations

from typing import Final

from quorumkey.protocol.keys import check_fingerprint
from quorumkey.protocol.limits import PICTOGRAM_SYMBOLS

__all__ = ["PICTOGRAM_TABLE", "pictogram", "speakable"]

#: Emoji and name, in the order of the Matrix specification.
PICTOGRAM_TABLE: Final[tuple[tuple[str, str], ...]] = (
    ("🐶", "dog"), ("🐱", "cat"), ("🦁", "lion"), ("🐎", "horse"),
    ("🦄", "unicorn"), ("🐷", "pig"), ("🐘", "elephant"), ("🐰", "rabbit"),
    ("🐼", "panda"), ("🐓", "rooster"), ("🐧", "penguin"), ("🐢", "turtle"),
    ("🐟", "fish"), ("🐙", "octopus"), ("🦋", "butterfly"), ("🌷", "flower"),
    ("🌳", "tree"), ("🌵", "cactus"), ("🍄", "mushroom"), ("🌏", "globe"),
    ("🌙", "moon"), ("\u2601\ufe0f", "cloud"), ("🔥", "fire"), ("🍌", "banana"),
    ("🍎", "apple"), ("🍓", "strawberry"), ("🌽", "corn"), ("🍕", "pizza"),
    ("🎂", "cake"), ("\u2764\ufe0f", "heart"), ("😀", "smiley"), ("🤖", "robot"),
    ("🎩", "hat"), ("👓", "glasses"), ("🔧", "spanner"), ("🎅", "santa"),
    ("👍", "thumbs-up"), ("\u2602\ufe0f", "umbrella"), ("⌛", "hourglass"), ("⏰", "clock"),
    ("🎁", "gift"), ("💡", "light-bulb"), ("📕", "book"), ("\u270f\ufe0f", "pencil"),
    ("📎", "paperclip"), ("\u2702\ufe0f", "scissors"), ("🔒", "lock"), ("🔑", "key"),
    ("🔨", "hammer"), ("\u260e\ufe0f", "telephone"), ("🏁", "flag"), ("🚂", "train"),
    ("🚲", "bicycle"), ("\u2708\ufe0f", "aeroplane"), ("🚀", "rocket"), ("🏆", "trophy"),
    ("⚽", "ball"), ("🎸", "guitar"), ("🎺", "trumpet"), ("🔔", "bell"),
    ("⚓", "anchor"), ("🎧", "headphones"), ("📁", "folder"), ("📌", "pin"),
)  # fmt: skip

_SYMBOL_BITS: Final = 6
_DIGEST_BITS: Final = 256


def _indices(fingerprint: str) -> tuple[int, ...]:
    number = int(check_fingerprint(fingerprint, field="fingerprint"), 16)
    return tuple(
        number >> (_DIGEST_BITS - _SYMBOL_BITS * (place + 1)) & (2**_SYMBOL_BITS - 1)
        for place in range(PICTOGRAM_SYMBOLS)
    )


def pictogram(fingerprint: str) -> tuple[str, ...]:
    """The five emoji of a fingerprint: its first 30 bits as five 6-bit indices.

    Raises:
        ProtocolError: ``invalid_fingerprint``.
    """
    return tuple(PICTOGRAM_TABLE[index][0] for index in _indices(fingerprint))


def speakable(fingerprint: str) -> str:
    """The names of the five emoji, joined by single spaces.

    Raises:
        ProtocolError: ``invalid_fingerprint``.
    """
    return " ".join(PICTOGRAM_TABLE[index][1] for index in _indices(fingerprint))
