"""Tell people when a model's own daily budget stops it, once, and once when it goes on."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from agentwhere_core.arena.values import TraderModel
from agentwhere_core.domain.enums import Severity
from agentwhere_flow.alerts import close_alert, open_alerts, raise_alert

if TYPE_CHECKING:
    from agentwhere_flow.system import System


def incident(model: TraderModel) -> str:
    """Return the name of the incident of a model that its budget stopped."""
    return f"arena:budget:{model.id}"


def tell_spent(system: System, now: datetime, model: TraderModel, cost_today_usd: Decimal) -> None:
    """Open the incident of a model that may not be asked again today, or mark it as seen again."""
    raise_alert(
        system,
        now,
        incident(model),
        Severity.WARNING,
        f"arena: {model.name} has used up its daily budget",
        f"{cost_today_usd:.4f} USD of the day's {model.budget_usd_per_day:f} are spent, and {model.name} is not asked "
        "again until midnight UTC. What it holds stays looked after. Wait until then; `agentwhere models add --budget` "
        "makes a model with a larger one",
    )


def tell_solvent(system: System, now: datetime, models: Collection[TraderModel]) -> None:
    """Close the incidents of models that go on."""
    ended = {incident(model) for model in models}
    for alert in open_alerts(system):
        if alert.incident in ended:
            close_alert(system, now, alert.incident)
