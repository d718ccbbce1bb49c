"""Labels as files write them."""

import math

EXPECTED = "a whole number from 0 on, or the name of a class"

_LONGEST = 60
_MISSING = ("none", "null", "na", "n/a", "<na>", "?")


def label_text(field: str) -> str | None:
    """The label in a field, without blanks around it: ``3`` for ``3.0``, a word as it is; None if none."""
    text = field.strip()
    try:
        value = float(text)
    except ValueError:
        is_word = text.isprintable() and len(text) <= _LONGEST and any(map(str.isalpha, text))
        return text if is_word and text.lower() not in _MISSING else None
    whole = text.isascii() and math.isfinite(value) and 0 <= value < 10**6 and value == int(value)
    return str(int(value)) if whole and not set(text) & set("eE_-") else None
