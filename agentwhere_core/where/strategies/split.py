"""The trade in parts over several venues, where that costs less than any one of them.

To minimise is the sum of each venue's cost of its part. A part costs fees in proportion, slippage that grows faster
than the part, and a fixed amount (oracle, gas) whatever its size. Without the fixed amounts, and without the venues'
minimums, that is a convex problem whose answer gives every venue the same marginal cost. With them it is one convex
problem for each set of venues, and there are few sets: all of them are solved, and the cheapest one counts.

Parts are whole percents. A set is solved by handing the trade out percent by percent, each to the venue where one more
costs least, which is exact for convex costs (Gross, 1956; Fox, "Discrete Optimization via Marginal Analysis", 1966).
Every venue of the set begins with its minimum, and none gets more than its headroom and the account there can take.

Two positions are more to look after than one: a set must save `WORTH_A_LEG_BPS` of notional for each further venue.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from heapq import heapify, heapreplace
from itertools import combinations

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.routing import RouteLeg, VenueAvailability
from agentwhere_core.where.availability import least_usd, most_usd
from agentwhere_core.where.costs import Pricing
from agentwhere_core.where.scene import RouteRequest
from agentwhere_core.where.strategies.protocol import Choice, Options

PARTS = 100
WORTH_A_LEG_BPS = Decimal("0.25")
# A part at the very minimum would be below it once its size is rounded to the venue's steps.
ROOM_ABOVE_MINIMUM = Decimal("1.02")

_BPS = Decimal(10_000)
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A venue that can take a part: at least and at most so many hundredths, and what each number of them costs."""

    venue: Venue
    least: int
    most: int
    fixed_usd: Decimal
    costs_usd: tuple[Decimal, ...]


class Split:
    """Minimise the total cost over all sets of available venues."""

    def choose(self, options: Options) -> Choice:
        """Return the cheapest way to split, the largest part first; one leg where splitting gains nothing."""
        checked = options.check_all()
        candidates = list(_candidates(options, checked))
        best: tuple[Decimal, dict[Venue, int]] | None = None
        for count in range(1, len(candidates) + 1):
            for several in combinations(candidates, count):
                found = _solve(several, options.request)
                if found is not None and (best is None or found[0] < best[0]):
                    best = found
        if best is None:
            return Choice(checked)
        legs = [RouteLeg(venue, Decimal(part) / PARTS) for venue, part in best[1].items()]
        legs.sort(key=lambda leg: -leg.share)
        return Choice(_with_parts(options, checked, legs), tuple(legs))


def _candidates(options: Options, checked: Sequence[VenueAvailability]) -> Iterator[_Candidate]:
    request, scene = options.request, options.scene
    notional = request.notional_usd
    for answer in checked:
        venue = answer.venue
        if not answer.is_available and not options.check(venue, in_part=True).is_available:
            continue
        most = PARTS
        if not answer.is_available:
            part = most_usd(venue, scene, request, options.standings.get(venue)) / notional
            most = int((part * PARTS).to_integral_value(ROUND_FLOOR))
        part = least_usd(scene.market(venue)) * ROOM_ABOVE_MINIMUM / notional * PARTS
        least = min(max(int(part.to_integral_value(ROUND_CEILING)), 1), PARTS)
        if least <= most:
            pricing = scene.pricing(venue)
            costs = _costs(pricing, request, most)
            yield _Candidate(venue, least, most, pricing.fixed_usd, costs)


def _costs(pricing: Pricing, request: RouteRequest, most: int) -> tuple[Decimal, ...]:
    notional = request.notional_usd
    return tuple(
        pricing.variable_usd(notional * part / PARTS, request.side, request.holding_h)
        if part
        else _ZERO
        for part in range(most + 1)
    )


def _solve(
    several: Sequence[_Candidate], request: RouteRequest
) -> tuple[Decimal, dict[Venue, int]] | None:
    """Return the least cost of a trade over exactly these venues, and their parts; None if it does not fit."""
    parts = [one.least for one in several]
    left = PARTS - sum(parts)
    if left < 0 or sum(one.most for one in several) < PARTS:
        return None
    heap = [(_marginal(one, parts[at]), at) for at, one in enumerate(several)]
    heapify(heap)
    for _ in range(left):
        at = heap[0][1]
        parts[at] += 1
        heapreplace(heap, (_marginal(several[at], parts[at]), at))
    legs_usd = WORTH_A_LEG_BPS / _BPS * request.notional_usd * (len(several) - 1)
    costs = (one.costs_usd[part] + one.fixed_usd for one, part in zip(several, parts, strict=True))
    return sum(costs, legs_usd), {one.venue: part for one, part in zip(several, parts, strict=True)}


def _marginal(one: _Candidate, part: int) -> Decimal:
    """Return what one hundredth more costs; infinity where the venue takes no more."""
    if part >= one.most:
        return Decimal("Infinity")
    return one.costs_usd[part + 1] - one.costs_usd[part]


def _with_parts(
    options: Options, checked: Sequence[VenueAvailability], legs: Sequence[RouteLeg]
) -> tuple[VenueAvailability, ...]:
    """Return the answers, with those for a part where a venue takes a part and could not take all."""
    taking = {leg.venue for leg in legs}
    return tuple(
        options.check(answer.venue, in_part=True)
        if answer.venue in taking and not answer.is_available
        else answer
        for answer in checked
    )
