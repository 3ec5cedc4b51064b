"""Folds column headers, so that a column is recognised however its header is typed."""

import re
from collections.abc import Iterable

from workbooks.text import plain

_REMARK = re.compile(
    r"\((?:必填|选填|必须|可空|文本|文本格式|18位|20位|年月日|年/月/日|是/否|有/无|男/女|1男2女|1/0|0/1|格式.*|如.*|例.*|示例.*|y{4}.*)\)$"
)
_MARKS = "*★☆:：、#"


def fold(header: str) -> str:
    """Fold width, capitals, spaces, line breaks, stars and remarks such as ``(必填)`` into one form.

    A remark that could distinguish two columns, such as ``(父亲)``, is kept.
    """
    text = plain(header).replace(" ", "").lower().strip(_MARKS)
    return _REMARK.sub("", text).strip(_MARKS)


def find_forbidden(headers: Iterable[str], forbidden_words: Iterable[str]) -> tuple[str, ...]:
    """Return the headers that contain one of the forbidden words."""
    parts = [folded for part in forbidden_words if (folded := fold(part))]
    return tuple(header for header in headers if (folded := fold(header)) and any(part in folded for part in parts))
