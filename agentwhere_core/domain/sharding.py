"""Shards: the deployments, dealt out among processes that work side by side.

Deployments fall into sixteen *parts* by the last hexadecimal digit of their id, which is random in a UUIDv7. A shard
looks after whole parts, so that what two processes do at once never concerns the same deployment, also while the number
of shards is being changed: their shards overlap in a part then, and a part has one holder at a time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

PARTS = tuple("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``of`` shards, numbered from 1; written ``1/2``.

    Raises
    ------
    ValueError
        If there is no such shard; at most sixteen fit.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        """Refuse what is not a shard."""
        if not 1 <= self.number <= self.of <= len(PARTS):
            raise ValueError(
                f"{self} is no shard: write NUMBER/OF, from 1/1 to {len(PARTS)}/{len(PARTS)}"
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def is_whole(self) -> bool:
        """Whether it looks after every deployment."""
        return self.of == 1

    @property
    def parts(self) -> tuple[str, ...]:
        """The last digits of the ids that it looks after, in order."""
        return PARTS[self.number - 1 :: self.of]

    def covers(self, deployment_id: UUID) -> bool:
        """Return whether it looks after a deployment."""
        return deployment_id.hex[-1] in self.parts


WHOLE = Shard(1, 1)


def shards(count: int) -> tuple[Shard, ...]:
    """Return the ``count`` shards which together look after every deployment once."""
    return tuple(Shard(number, count) for number in range(1, count + 1))


def read_shard(text: str) -> Shard:
    """Return the shard that is written ``NUMBER/OF``.

    Raises
    ------
    ValueError
        If the text names no shard.
    """
    found = re.fullmatch(r"(\d{1,2})/(\d{1,2})", text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no shard: write NUMBER/OF, such as 1/2")
    return Shard(int(found[1]), int(found[2]))
