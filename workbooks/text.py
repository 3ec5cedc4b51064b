"""Folds the different ways to type a text into one."""

import re
import unicodedata

_INVISIBLE = dict.fromkeys(
    code
    for first, last in (
        (0x00, 0x08),  # control characters other than white space
        (0x0E, 0x1F),
        (0x7F, 0x84),
        (0x86, 0x9F),
        (0xAD, 0xAD),
        (0x061C, 0x061C),  # here and below: marks of writing direction
        (0x180B, 0x180E),
        (0x200B, 0x200F),
        (0x202A, 0x202E),
        (0x2060, 0x206F),
        (0xFE00, 0xFE0F),  # variation selectors
        (0xFEFF, 0xFEFF),
        (0xFFF9, 0xFFFB),
        (0xE0000, 0xE0FFF),
    )
    for code in range(first, last + 1)
)
"""Invisible characters, with which one name would be read as two."""
_PLAIN = re.compile(r"[!-~\u4e00-\u9fa5·、。]+").fullmatch
"""Matches text that folding would not change, which is nearly every cell."""


def plain(text: str) -> str:
    """Return text without full-width forms, invisible characters and runs of white space."""
    if _PLAIN(text):
        return text
    return " ".join(unicodedata.normalize("NFKC", text).translate(_INVISIBLE).split())
