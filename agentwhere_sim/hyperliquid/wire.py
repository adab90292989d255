"""Read an action as the venue does, and pack it again as the venue packs it.

The venue parses an action into its own structures and hashes those, not the text that came. So a signer must pack keys
in the venue's order and numbers without trailing zeros ("1.50" is hashed as "1.5"); if it did not, the hash differs and
the signature seems to be somebody else's. Source: the pitfalls of the venue's "Signing" page; the order of keys is that
of the official SDK.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEYS = (
    *("type", "orders", "cancels", "modifies", "asset", "isCross", "leverage", "cloid", "time"),
    *("oid", "order", "grouping", "builder"),
)
_ORDER_KEYS = ("a", "b", "p", "s", "r", "t", "c")
_TRIGGER_KEYS = ("isMarket", "triggerPx", "tpsl")
_CANCEL_KEYS = ("a", "o", "asset", "cloid")
_READ = frozenset(
    (
        "order",
        "cancel",
        "cancelByCloid",
        "modify",
        "batchModify",
        "updateLeverage",
        "scheduleCancel",
    )
)


def repacked(action: Mapping[str, Any]) -> dict[str, Any]:
    """Give an action in the venue's own order of keys and writing of numbers.

    Actions without such fields come back as they are. Raises ``KeyError``, ``TypeError``, ``ValueError`` or
    ``ArithmeticError`` for an action that does not parse.
    """
    if action["type"] not in _READ:
        return dict(action)
    read = _ordered(action, _KEYS)
    if "orders" in read:
        read["orders"] = [_order(order) for order in read["orders"]]
    if "order" in read:
        read["order"] = _order(read["order"])
    if "modifies" in read:
        read["modifies"] = [
            {"oid": modify["oid"], "order": _order(modify["order"])} for modify in read["modifies"]
        ]
    if "cancels" in read:
        read["cancels"] = [_ordered(cancel, _CANCEL_KEYS) for cancel in read["cancels"]]
    return read


def _order(order: Mapping[str, Any]) -> dict[str, Any]:
    read = _ordered(order, _ORDER_KEYS)
    read["p"], read["s"] = _number(read["p"]), _number(read["s"])
    if "trigger" in read["t"]:
        trigger = _ordered(read["t"]["trigger"], _TRIGGER_KEYS)
        read["t"] = {"trigger": trigger | {"triggerPx": _number(trigger["triggerPx"])}}
    return read


def _ordered(fields: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    known = {key: fields[key] for key in keys if key in fields}
    return known | {key: value for key, value in fields.items() if key not in known}


def _number(text: Any) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{text!r} must be a string")
    number = Decimal(text)
    if not number.is_finite() or number < 0:
        raise ValueError(f"{text!r} is no price and no size")
    return f"{number.normalize():f}"
