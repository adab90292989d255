"""Which venue takes a trade (R1–R6).

`route` is pure: the same trade, scene and standings give the same decision, word for word. A decision carries the trade
and the standings by value in ``inputs``; together with its scene, which is kept once for all decisions that share it,
`replay` makes it again.

A signal that names a venue goes there or nowhere: it is checked and never rerouted, and a venue without an adapter
is passed through unchecked, for the execution step to refuse. A ``MULTI`` signal goes through the priority list of its
token, from which the configured strategy chooses. Without failover only the first venue of the list is considered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.reasons import REASON_TEXTS, Reason
from agentwhere_core.domain.routing import RouteLeg, RoutingDecision, VenueAvailability
from agentwhere_core.where.availability import check_availability
from agentwhere_core.where.record import read_scene, read_trade, tell_trade
from agentwhere_core.where.scene import VENUE_NAMES, RouteRequest, Scene, Standing
from agentwhere_core.where.strategies import STRATEGIES, Options

NOBODY: Mapping[Venue, Standing] = {}


def route(
    request: RouteRequest, scene: Scene, standings: Mapping[Venue, Standing] = NOBODY
) -> RoutingDecision:
    """Return the venue for a trade, or the reason why there is none, with everything that was looked at."""
    inputs = tell_trade(request, standings)
    if request.expires_at is not None and scene.now >= request.expires_at:
        return _too_late(request, scene, inputs)
    if request.requested_venue is not Venue.MULTI:
        return _go_where_named(request, scene, standings, inputs)
    strategy = scene.config.routing_strategy
    choice = STRATEGIES[strategy].choose(Options(scene, request, standings))
    details = "; ".join([checked.detail for checked in choice.checked])
    if not choice.legs:
        selected, reason = None, Reason.NO_VENUE_AVAILABLE
        story = f"{details}; no venue can take {request.side} {request.token}, so it is skipped"
    else:
        selected, reason = choice.legs[0].venue, Reason.SELECTED
        story = f"{details}; {_chosen(choice.legs)} by {strategy}"
    return RoutingDecision(
        requested_venue=Venue.MULTI,
        selected_venue=selected,
        reason=reason,
        story=story,
        checked=choice.checked,
        strategy=strategy,
        config_version=scene.config.version,
        inputs=inputs,
        legs=choice.legs,
    )


def replay(inputs: Mapping[str, Any], scene: Mapping[str, Any]) -> RoutingDecision:
    """Make a decision again from its ``inputs`` and its scene, as they were kept.

    Raises
    ------
    ConfigurationError
        If the scene was written by a version of the router that this one does not know.
    """
    request, standings = read_trade(inputs)
    return route(request, read_scene(scene), standings)


def explain(decision: RoutingDecision) -> list[str]:
    """Return the decision in lines for people, with the cost of each available venue term by term."""
    lines = [f"Requested: {decision.requested_venue}, strategy {decision.strategy}."]
    for place, checked in enumerate(decision.checked, start=1):
        verdict = "available" if checked.is_available else checked.reason.value
        lines.append(f"{place}. {checked.venue}: {verdict}. {_sentence(checked.detail)}")
        if checked.cost is not None:
            cost = checked.cost
            lines.append(
                f"   Expected round trip {cost.total_bps:.2f} bps = taker fee {cost.taker_fee_bps:.2f}"
                f" + close fee {cost.close_fee_bps:.2f} + spread {cost.spread_bps:.2f}"
                f" + impact {cost.impact_bps:.2f} + funding {cost.funding_bps:.2f}"
                f" + rollover {cost.rollover_bps:.2f} + oracle {cost.oracle_bps:.2f}"
                f" + gas {cost.gas_bps:.2f}."
            )
        elif not checked.is_available:
            lines.append(f"   What to do: {REASON_TEXTS[checked.reason].remedy}")
    outcome = f"goes to {_places(decision.legs)}" if decision.legs else "skipped"
    lines.append(f"Result: {outcome} ({decision.reason}).")
    lines.append(_sentence(decision.story))
    return lines


def _too_late(request: RouteRequest, scene: Scene, inputs: dict[str, Any]) -> RoutingDecision:
    return RoutingDecision(
        requested_venue=request.requested_venue,
        selected_venue=None,
        reason=Reason.SIGNAL_EXPIRED,
        story=f"the signal expired at {request.expires_at:%Y-%m-%d %H:%M} UTC, before a venue was chosen",
        checked=(),
        strategy=scene.config.routing_strategy,
        config_version=scene.config.version,
        inputs=inputs,
    )


def _go_where_named(
    request: RouteRequest,
    scene: Scene,
    standings: Mapping[Venue, Standing],
    inputs: dict[str, Any],
) -> RoutingDecision:
    venue = request.requested_venue
    selected: Venue | None = venue
    reason = Reason.VENUE_NAMED_BY_SIGNAL
    checked: tuple[VenueAvailability, ...] = ()
    if venue not in scene.sites:
        story = f"the signal names {VENUE_NAMES[venue]}, which has no adapter; passed on unchecked"
    else:
        answer = check_availability(venue, scene, request, standings.get(venue))
        checked = (answer,)
        if answer.is_available:
            story = f"the signal names its venue; {answer.detail}"
        else:
            selected, reason = None, answer.reason
            story = f"the signal names its venue; {answer.detail}; skipped, and not rerouted"
    return RoutingDecision(
        requested_venue=venue,
        selected_venue=selected,
        reason=reason,
        story=story,
        checked=checked,
        strategy=scene.config.routing_strategy,
        config_version=scene.config.version,
        inputs=inputs,
        legs=() if selected is None else (RouteLeg(selected),),
    )


def _chosen(legs: tuple[RouteLeg, ...]) -> str:
    return "chosen" if len(legs) == 1 else f"split into {_places(legs)}"


def _places(legs: tuple[RouteLeg, ...]) -> str:
    if len(legs) == 1:
        return legs[0].venue
    return ", ".join(f"{leg.share:.0%} {leg.venue}" for leg in legs)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
