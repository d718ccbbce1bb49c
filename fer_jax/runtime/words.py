"""Numbers and names in messages."""

from collections.abc import Iterable, Sequence

_MOST_NAMES = 5


def number_of(count: int, noun: str, plural: str | None = None) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def some(names: Sequence[str]) -> str:
    """The first five of the names, with ``...`` where there are more."""
    return ", ".join([*names[:_MOST_NAMES], *(["..."] if len(names) > _MOST_NAMES else [])])


def tally(kinds: Iterable[str]) -> str:
    """Count equal ones, the most frequent first: ``2 .txt, 1 .mp4``."""
    counts: dict[str, int] = {}
    for kind in kinds:
        counts[kind] = counts.get(kind, 0) + 1
    return ", ".join(
        f"{n:,} {kind}" for kind, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
