"""``/exchange``: check the signer, the nonce and the expiry, then carry out the action.

An action is one transaction of the venue's memory: either all of it is remembered before the answer leaves, or none.
A used nonce stays used even if every order of its action is refused; an expired action uses none.
Nonce and expiry are judged by real time, not by the simulated clock, because the signer has no
other; a scheduled cancel keeps its delay and fires by the simulated clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from agentwhere_sim.hyperliquid import signing, wire
from agentwhere_sim.hyperliquid.engine import Wish
from agentwhere_sim.hyperliquid.ledger import KEPT_NONCES
from agentwhere_sim.universe import hyperliquid_markets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentwhere_sim.hyperliquid.clockwork import Clockwork
    from agentwhere_sim.hyperliquid.engine import Engine
    from agentwhere_sim.hyperliquid.ledger import Ledger
    from agentwhere_sim.world import World

_OLDEST_NONCE_MS = int(timedelta(days=2).total_seconds() * 1000)
_NEWEST_NONCE_MS = int(timedelta(days=1).total_seconds() * 1000)
_MIN_SCHEDULE_MS = 5_000
_GONE = "Order was never placed, already canceled, or filled."


class UnreadableError(Exception):
    """The request does not parse; the venue answers 422."""


class RefusedError(Exception):
    """The whole request is refused; the venue answers ``{"status": "err", "response": text}`` with HTTP 200."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A signed request: the action as it came, and who signed it when, for how long."""

    action: Mapping[str, Any]
    nonce: int
    signer: str
    vault: str | None
    expires_after: int | None


def open_envelope(payload: Any) -> Envelope:
    """Read a request body and recover its signer.

    Raises
    ------
    UnreadableError
        If a part is missing or of the wrong form.
    """
    try:
        action, nonce, signature = payload["action"], payload["nonce"], payload["signature"]
        vault, expires_after = payload.get("vaultAddress"), payload.get("expiresAfter")
        if not isinstance(action["type"], str) or not isinstance(nonce, int):
            raise UnreadableError
        if action["type"] == "approveAgent":
            if action["nonce"] != nonce:
                raise UnreadableError
            signer = signing.approve_agent_signer(action, signature)
        else:
            packed = wire.repacked(action)
            signer = signing.l1_signer(packed, nonce, vault, expires_after, signature)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise UnreadableError from error
    return Envelope(action, nonce, signer, vault, expires_after)


class Exchange:
    """Carry out signed actions."""

    def __init__(self, world: World, ledger: Ledger, engine: Engine, clockwork: Clockwork) -> None:
        self._world = world
        self._ledger = ledger
        self._engine = engine
        self._clockwork = clockwork
        self._actions: dict[str, Callable[[str, Envelope], Any]] = {
            "order": self._order,
            "cancel": self._cancel,
            "cancelByCloid": self._cancel_by_cloid,
            "modify": self._modify,
            "batchModify": self._batch_modify,
            "updateLeverage": self._update_leverage,
            "scheduleCancel": self._schedule_cancel,
            "approveAgent": self._approve_agent,
            "noop": lambda _address, _envelope: {"type": "default"},
        }

    def carry_out(self, envelope: Envelope) -> Any:
        """Do what an envelope asks and give the ``response`` of the answer.

        Raises
        ------
        RefusedError
            If the venue refuses the whole request.
        UnreadableError
            If the action is of no known type or form.
        """
        action = self._actions.get(envelope.action["type"])
        if action is None:
            raise UnreadableError
        with self._ledger.db.transaction():
            address = self._authorize(envelope)
            self._clockwork.catch_up(note=True)
            try:
                return action(address, envelope)
            except RefusedError as error:
                refusal = error
            except (KeyError, TypeError, ValueError, InvalidOperation, IndexError) as error:
                raise UnreadableError from error
        raise refusal

    def _authorize(self, envelope: Envelope) -> str:
        address = self._ledger.account_of(envelope.signer)
        if address is None:
            raise RefusedError(f"User or API Wallet {envelope.signer} does not exist.")
        if envelope.vault is not None:
            raise RefusedError(f"Vault not registered: {envelope.vault}")
        wall_ms = self._world.wall_ms()
        if envelope.expires_after is not None and envelope.expires_after < wall_ms:
            raise RefusedError(
                f"Action expired: expiresAfter {envelope.expires_after} is before {wall_ms}"
            )
        self._check_nonce(envelope.signer, envelope.nonce, wall_ms)
        self._ledger.use_nonce(envelope.signer, envelope.nonce)
        return address

    def _check_nonce(self, signer: str, nonce: int, wall_ms: int) -> None:
        kept = self._ledger.nonces(signer)
        if nonce in kept:
            raise RefusedError(f"Invalid nonce: duplicate nonce {nonce}")
        if len(kept) >= KEPT_NONCES and nonce < min(kept):
            raise RefusedError(f"Invalid nonce: nonce too low: {nonce} < {min(kept)}")
        if not wall_ms - _OLDEST_NONCE_MS < nonce < wall_ms + _NEWEST_NONCE_MS:
            raise RefusedError(
                f"Invalid nonce: {nonce} is not within 2 days before and 1 day after {wall_ms}"
            )

    def _order(self, address: str, envelope: Envelope) -> Any:
        action = envelope.action
        if action.get("builder"):
            raise RefusedError("Builder fee has not been approved.")
        grouping = action["grouping"]
        if grouping not in ("na", "normalTpsl", "positionTpsl") or not action["orders"]:
            raise UnreadableError
        wishes = [_wish(order) for order in action["orders"]]
        statuses = self._engine.place(
            address, envelope.signer, wishes, grouping, self._world.now_ms()
        )
        return {"type": "order", "data": {"statuses": statuses}}

    def _cancel(self, address: str, envelope: Envelope) -> Any:
        wanted = [(int(cancel["a"]), int(cancel["o"])) for cancel in envelope.action["cancels"]]
        return self._cancel_all(address, wanted)

    def _cancel_by_cloid(self, address: str, envelope: Envelope) -> Any:
        wanted = [
            (int(cancel["asset"]), str(cancel["cloid"]).lower())
            for cancel in envelope.action["cancels"]
        ]
        return self._cancel_all(address, wanted)

    def _cancel_all(
        self, address: str, wanted: list[tuple[int, int]] | list[tuple[int, str]]
    ) -> Any:
        statuses: list[Any] = []
        for asset, reference in wanted:
            order = self._ledger.order_of(address, reference)
            if order is None or order.asset != asset or order.status not in ("open", "waiting"):
                statuses.append({"error": f"{_GONE} asset={asset}"})
            else:
                self._engine.cancel(order, "canceled", self._world.now_ms())
                statuses.append("success")
        return {"type": "cancel", "data": {"statuses": statuses}}

    def _modify(self, address: str, envelope: Envelope) -> Any:
        status = self._modify_one(address, envelope, envelope.action)
        if isinstance(status, dict) and "error" in status:
            raise RefusedError(str(status["error"]))
        return {"type": "default"}

    def _batch_modify(self, address: str, envelope: Envelope) -> Any:
        statuses = [
            self._modify_one(address, envelope, modify) for modify in envelope.action["modifies"]
        ]
        return {"type": "order", "data": {"statuses": statuses}}

    def _modify_one(self, address: str, envelope: Envelope, modify: Mapping[str, Any]) -> Any:
        old = self._ledger.order_of(address, modify["oid"])
        if old is None or old.status != "open":
            return {"error": "Cannot modify canceled or filled order"}
        self._engine.cancel(old, "canceled", self._world.now_ms())
        old.cloid = None
        self._ledger.save_order(old)
        wish = _wish(modify["order"])
        return self._engine.place(address, envelope.signer, [wish], "na", self._world.now_ms())[0]

    def _update_leverage(self, address: str, envelope: Envelope) -> Any:
        asset, leverage = int(envelope.action["asset"]), int(envelope.action["leverage"])
        is_cross = bool(envelope.action["isCross"])
        market = hyperliquid_markets()[asset]
        if not 1 <= leverage <= market.max_leverage:
            raise RefusedError("Invalid leverage value")
        if is_cross and market.only_isolated:
            raise RefusedError("Cross margin is not allowed for this asset.")
        self._ledger.db.execute(
            "INSERT OR REPLACE INTO hl_leverage (address, asset, leverage, is_cross) VALUES (?, ?, ?, ?)",
            (address, asset, leverage, int(is_cross)),
        )
        return {"type": "default"}

    def _schedule_cancel(self, address: str, envelope: Envelope) -> Any:
        due = envelope.action.get("time")
        delay_ms = None if due is None else int(due) - self._world.wall_ms()
        if delay_ms is not None and delay_ms < _MIN_SCHEDULE_MS:
            raise RefusedError(
                "Scheduled cancel time too early, must be at least 5 seconds from now."
            )
        self._ledger.db.execute(
            "UPDATE hl_accounts SET scheduled_cancel_ms = ? WHERE address = ?",
            (None if delay_ms is None else self._world.now_ms() + delay_ms, address),
        )
        return {"type": "default"}

    def _approve_agent(self, address: str, envelope: Envelope) -> Any:
        agent, name = (
            str(envelope.action["agentAddress"]).lower(),
            envelope.action.get("agentName") or "",
        )
        if self._ledger.account_of(agent) not in (None, address):
            raise RefusedError("Extra agent already used.")
        self._ledger.db.execute(
            "DELETE FROM hl_agents WHERE master = ? AND name = ?", (address, name)
        )
        self._ledger.db.execute(
            "INSERT OR REPLACE INTO hl_agents (agent, master, name, approved_ms) VALUES (?, ?, ?, ?)",
            (agent, address, name, self._world.now_ms()),
        )
        return {"type": "default"}


def _wish(order: Mapping[str, Any]) -> Wish:
    kind = order["t"]
    trigger = kind.get("trigger")
    tif = "Gtc" if trigger else kind["limit"]["tif"]
    if tif not in ("Gtc", "Ioc", "Alo") or (trigger and trigger["tpsl"] not in ("tp", "sl")):
        raise UnreadableError
    asset = int(order["a"])
    if not 0 <= asset < len(hyperliquid_markets()):
        raise RefusedError(f"Unknown asset {asset}")
    return Wish(
        asset=asset,
        is_buy=bool(order["b"]),
        price=Decimal(order["p"]),
        size=Decimal(order["s"]),
        reduce_only=bool(order["r"]),
        tif=tif,
        trigger_px=Decimal(trigger["triggerPx"]) if trigger else None,
        is_market=bool(trigger and trigger["isMarket"]),
        tpsl=trigger["tpsl"] if trigger else None,
        cloid=_cloid(order.get("c")),
    )


def _cloid(text: str | None) -> str | None:
    if text is None:
        return None
    if not re.fullmatch(r"0x[0-9a-fA-F]{32}", text):
        raise UnreadableError
    return text.lower()
