"""Folds the ways in which people type one text into one."""

import re
import unicodedata

_INVISIBLE = dict.fromkeys(
    code
    for first, last in (
        (0x00, 0x08),  # controls; white space is folded
        (0x0E, 0x1F),
        (0x7F, 0x84),
        (0x86, 0x9F),
        (0xAD, 0xAD),
        (0x061C, 0x061C),  # marks of writing direction, here and below
        (0x180B, 0x180E),
        (0x200B, 0x200F),
        (0x202A, 0x202E),
        (0x2060, 0x206F),
        (0xFE00, 0xFE0F),  # which form of a character is shown
        (0xFEFF, 0xFEFF),
        (0xFFF9, 0xFFFB),
        (0xE0000, 0xE0FFF),
    )
    for code in range(first, last + 1)
)
"""Characters that nobody sees, and that would make two of one name."""
_PLAIN = re.compile(r"[!-~\u4e00-\u9fa5·、。]+").fullmatch
"""What folding would not change: nearly every cell."""


def plain(text: str) -> str:
    """Full-width forms, invisible characters and runs of white space folded away."""
    if _PLAIN(text):
        return text
    return " ".join(unicodedata.normalize("NFKC", text).translate(_INVISIBLE).split())
