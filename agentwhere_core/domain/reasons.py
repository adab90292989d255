"""Reason codes: why something was refused, reduced, skipped or changed.

Every refusal in the system carries one of these, from a post that names no listed token to an order that a venue
rejected. The table in ``docs/reasons.md`` is generated from this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """One code for each way in which a step can decline or alter its input."""

    # classification
    NOT_A_SIGNAL = "NOT_A_SIGNAL"
    CLASSIFIER_UNAVAILABLE = "CLASSIFIER_UNAVAILABLE"
    CLASSIFIER_INVALID_OUTPUT = "CLASSIFIER_INVALID_OUTPUT"
    CLASSIFIER_REFUSED = "CLASSIFIER_REFUSED"
    CLASSIFIER_BUDGET_SPENT = "CLASSIFIER_BUDGET_SPENT"
    TOKEN_NOT_LISTED = "TOKEN_NOT_LISTED"
    TOKEN_NOT_NAMED = "TOKEN_NOT_NAMED"
    TOO_MANY_TOKENS = "TOO_MANY_TOKENS"
    # signals
    CONFLICTING_POSTS = "CONFLICTING_POSTS"
    POST_TOO_OLD = "POST_TOO_OLD"
    RECENT_SIGNAL = "RECENT_SIGNAL"
    ALREADY_HELD = "ALREADY_HELD"
    UNCORROBORATED = "UNCORROBORATED"
    SIZE_ROUNDS_TO_ZERO = "SIZE_ROUNDS_TO_ZERO"
    SIGNAL_EXPIRED = "SIGNAL_EXPIRED"
    # policy
    BELOW_MIN_CONFIDENCE = "BELOW_MIN_CONFIDENCE"
    TOKEN_BLOCKED = "TOKEN_BLOCKED"
    SIDE_BLOCKED = "SIDE_BLOCKED"
    SIZE_CAPPED = "SIZE_CAPPED"
    LEVERAGE_CAPPED = "LEVERAGE_CAPPED"
    STYLE_APPLIED = "STYLE_APPLIED"
    VENUE_BLOCKED = "VENUE_BLOCKED"
    COOLING_DOWN = "COOLING_DOWN"
    DAILY_LOSS_LIMIT = "DAILY_LOSS_LIMIT"
    MAX_POSITIONS_REACHED = "MAX_POSITIONS_REACHED"
    TOTAL_EXPOSURE_CAPPED = "TOTAL_EXPOSURE_CAPPED"
    TOKEN_EXPOSURE_CAPPED = "TOKEN_EXPOSURE_CAPPED"
    VENUE_EXPOSURE_CAPPED = "VENUE_EXPOSURE_CAPPED"
    DEPLOYMENT_INACTIVE = "DEPLOYMENT_INACTIVE"
    # routing
    SELECTED = "SELECTED"
    VENUE_NAMED_BY_SIGNAL = "VENUE_NAMED_BY_SIGNAL"
    AVAILABLE = "AVAILABLE"
    NO_VENUE_AVAILABLE = "NO_VENUE_AVAILABLE"
    NOT_LISTED = "NOT_LISTED"
    INACTIVE = "INACTIVE"
    MARKET_CLOSED = "MARKET_CLOSED"
    STALE_DATA = "STALE_DATA"
    PRICE_DISAGREES = "PRICE_DISAGREES"
    VENUE_DISABLED = "VENUE_DISABLED"
    VENUE_UNHEALTHY = "VENUE_UNHEALTHY"
    NO_ACCOUNT = "NO_ACCOUNT"
    UNFUNDED = "UNFUNDED"
    BELOW_MINIMUM = "BELOW_MINIMUM"
    LEVERAGE_TOO_HIGH = "LEVERAGE_TOO_HIGH"
    OPEN_INTEREST_CAP = "OPEN_INTEREST_CAP"
    POSITION_EXISTS = "POSITION_EXISTS"
    ORDER_PENDING = "ORDER_PENDING"
    ORDERS_RESTING = "ORDERS_RESTING"
    TOKEN_NOT_FOLLOWED = "TOKEN_NOT_FOLLOWED"
    KILL_SWITCH = "KILL_SWITCH"
    # execution
    EXECUTION_NOT_AVAILABLE = "EXECUTION_NOT_AVAILABLE"
    LIVE_TRADING_OFF = "LIVE_TRADING_OFF"
    KEY_MISSING = "KEY_MISSING"
    PRICE_UNAVAILABLE = "PRICE_UNAVAILABLE"
    VENUE_REJECTED = "VENUE_REJECTED"
    NOT_FILLED = "NOT_FILLED"
    NEVER_SENT = "NEVER_SENT"
    NEVER_ARRIVED = "NEVER_ARRIVED"
    OUTCOME_UNCLEAR = "OUTCOME_UNCLEAR"
    FOUND_AT_VENUE = "FOUND_AT_VENUE"
    PROTECTION_REPLACED = "PROTECTION_REPLACED"
    PROTECTION_LOST = "PROTECTION_LOST"
    POSITION_CLOSED = "POSITION_CLOSED"
    # arena
    MODEL_UNAVAILABLE = "MODEL_UNAVAILABLE"
    MODEL_TIMED_OUT = "MODEL_TIMED_OUT"
    MODEL_RATE_LIMITED = "MODEL_RATE_LIMITED"
    MODEL_REFUSED = "MODEL_REFUSED"
    MODEL_CUT_OFF = "MODEL_CUT_OFF"
    CALL_IN_TEXT = "CALL_IN_TEXT"
    UNKNOWN_TOOL = "UNKNOWN_TOOL"
    BAD_ARGUMENTS = "BAD_ARGUMENTS"
    TOO_MANY_CALLS = "TOO_MANY_CALLS"
    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    BAD_QUANTITY = "BAD_QUANTITY"
    QUANTITY_TOO_LARGE = "QUANTITY_TOO_LARGE"
    STOP_ON_WRONG_SIDE = "STOP_ON_WRONG_SIDE"
    CONTRADICTORY_CALLS = "CONTRADICTORY_CALLS"
    NOTHING_TO_CLOSE = "NOTHING_TO_CLOSE"
    CALL_EXPIRED = "CALL_EXPIRED"
    BUDGET_SPENT = "BUDGET_SPENT"
    STILL_RUNNING = "STILL_RUNNING"
    INTERRUPTED = "INTERRUPTED"


@dataclass(frozen=True, slots=True)
class ReasonText:
    """What a reason code means, and what a user can do about it."""

    meaning: str
    remedy: str


REASON_TEXTS: dict[Reason, ReasonText] = {
    Reason.NOT_A_SIGNAL: ReasonText("The post proposes no trade.", "Nothing to do."),
    Reason.CLASSIFIER_UNAVAILABLE: ReasonText(
        "The language model could not be reached or answered with an error.",
        "The post stays pending and is tried again; check the model's endpoint and key.",
    ),
    Reason.CLASSIFIER_INVALID_OUTPUT: ReasonText(
        "The model's answer did not fit the schema, twice.",
        "The post stays pending; if it repeats, choose a model with structured output.",
    ),
    Reason.CLASSIFIER_REFUSED: ReasonText(
        "The model refused to answer.",
        "The post stays pending; read it, and choose another model if it repeats.",
    ),
    Reason.CLASSIFIER_BUDGET_SPENT: ReasonText(
        "The day's budget for the language model is used up.",
        "The post stays pending until midnight UTC; or raise AGENTWHERE_LLM_DAILY_BUDGET_USD.",
    ),
    Reason.TOKEN_NOT_LISTED: ReasonText(
        "No synced market list contains the token.",
        "Run `agentwhere sync-markets` if you expect it to be listed.",
    ),
    Reason.TOKEN_NOT_NAMED: ReasonText(
        "The model named a token that the post's text does not.",
        "Nothing to do: this guards against injected trades.",
    ),
    Reason.TOO_MANY_TOKENS: ReasonText(
        "The post proposes more trades than one post may cause; the most confident ones count.",
        "Raise AGENTWHERE_TRADES_PER_POST if you trust the agent's sources.",
    ),
    Reason.CONFLICTING_POSTS: ReasonText(
        "Posts of one batch disagree about the side and net out.",
        "Nothing to do; the next clear post makes a signal.",
    ),
    Reason.POST_TOO_OLD: ReasonText(
        "The post is older than the signal window.",
        "Raise AGENTWHERE_SIGNAL_WINDOW_H to accept older posts.",
    ),
    Reason.RECENT_SIGNAL: ReasonText(
        "The agent already has an unexpired signal on this token.", "Wait until it expires."
    ),
    Reason.ALREADY_HELD: ReasonText(
        "Every active deployment of the agent already holds a position in this token.",
        "Nothing to do: the posts count again once one of them is closed.",
    ),
    Reason.UNCORROBORATED: ReasonText(
        "The size was held at the corroboration threshold, because fewer than two independent sources agree.",
        "Follow more sources, or change AGENTWHERE_CORROBORATION_PCT.",
    ),
    Reason.SIZE_ROUNDS_TO_ZERO: ReasonText(
        "The computed share of the funds is zero.",
        "Use sources with a longer track record or more confident posts.",
    ),
    Reason.SIGNAL_EXPIRED: ReasonText(
        "The signal's time to act has passed.",
        "Raise AGENTWHERE_SIGNAL_TTL_H, or look why execution was late.",
    ),
    Reason.BELOW_MIN_CONFIDENCE: ReasonText(
        "The signal is less confident than the policy demands.",
        "Lower the policy's min_confidence.",
    ),
    Reason.TOKEN_BLOCKED: ReasonText(
        "The policy does not allow this token.", "Edit the policy's token lists."
    ),
    Reason.SIDE_BLOCKED: ReasonText(
        "The policy does not allow this side.", "Edit the policy's allowed sides."
    ),
    Reason.SIZE_CAPPED: ReasonText(
        "The policy reduced the share of funds to its cap.",
        "Raise the policy's max_fund_percentage.",
    ),
    Reason.LEVERAGE_CAPPED: ReasonText(
        "The policy reduced the leverage to its cap.", "Raise the policy's max_leverage."
    ),
    Reason.STYLE_APPLIED: ReasonText(
        "The policy's style scaled the size.", "Choose another style."
    ),
    Reason.VENUE_BLOCKED: ReasonText(
        "The policy does not trade at this venue.",
        "Change the policy's allowed_venues or blocked_venues.",
    ),
    Reason.COOLING_DOWN: ReasonText(
        "The deployment traded this token less than its policy's cooldown ago.",
        "Wait, or lower cooldown_h.",
    ),
    Reason.DAILY_LOSS_LIMIT: ReasonText(
        "The deployment lost as much today as its policy allows, and opens nothing until the next UTC day.",
        "Wait for midnight UTC; raise daily_loss_limit_pct only with a cool head.",
    ),
    Reason.TOTAL_EXPOSURE_CAPPED: ReasonText(
        "The policy's cap on the exposure of all positions together left less room, or none.",
        "Close a position, or raise max_total_exposure_pct.",
    ),
    Reason.TOKEN_EXPOSURE_CAPPED: ReasonText(
        "The policy's cap on the exposure to one token left less room, or none.",
        "Raise max_token_exposure_pct.",
    ),
    Reason.VENUE_EXPOSURE_CAPPED: ReasonText(
        "The policy's cap on the exposure at one venue left less room, or none.",
        "Close a position there, or raise max_venue_exposure_pct.",
    ),
    Reason.MAX_POSITIONS_REACHED: ReasonText(
        "The deployment holds as many positions as its policy allows.",
        "Raise max_open_positions or close one.",
    ),
    Reason.DEPLOYMENT_INACTIVE: ReasonText(
        "The deployment is paused or halted.", "Resume the deployment."
    ),
    Reason.SELECTED: ReasonText("The strategy chose this venue.", "Nothing to do."),
    Reason.VENUE_NAMED_BY_SIGNAL: ReasonText(
        "The signal itself names the venue, so it was not routed.",
        "Create the agent with venue MULTI to route.",
    ),
    Reason.AVAILABLE: ReasonText("The venue can take this trade.", "Nothing to do."),
    Reason.NO_VENUE_AVAILABLE: ReasonText(
        "No venue in the priority list can take this trade.",
        "See each venue's own reason in the routing history.",
    ),
    Reason.NOT_LISTED: ReasonText(
        "The venue does not list the token.", "Run `agentwhere sync-markets VENUE`."
    ),
    Reason.INACTIVE: ReasonText(
        "The venue lists the market but does not trade it now.", "Wait, or use another venue."
    ),
    Reason.MARKET_CLOSED: ReasonText(
        "The market is outside its trading hours.", "Wait until it opens."
    ),
    Reason.STALE_DATA: ReasonText(
        "The venue's market list or price is too old to trust.",
        "Run `agentwhere sync-markets VENUE`.",
    ),
    Reason.PRICE_DISAGREES: ReasonText(
        "The venue's price for the token is so far from the other venues' that its ticker must mean another thing.",
        "Compare the venues' markets; if they do differ, keep them apart in venues/symbols.py.",
    ),
    Reason.VENUE_DISABLED: ReasonText(
        "The venue is switched off.", "Set AGENTWHERE_VENUES to include it."
    ),
    Reason.VENUE_UNHEALTHY: ReasonText(
        "The venue's health is critical.", "See `agentwhere status`."
    ),
    Reason.NO_ACCOUNT: ReasonText(
        "The deployment has no account at this venue.",
        "Add one with `agentwhere deploy --account`.",
    ),
    Reason.UNFUNDED: ReasonText(
        "The account's free margin does not cover the size.", "Deposit, or lower the size."
    ),
    Reason.BELOW_MINIMUM: ReasonText(
        "The order is smaller than the venue's minimum.", "Raise the capital or the share of funds."
    ),
    Reason.LEVERAGE_TOO_HIGH: ReasonText(
        "The venue does not allow this leverage.", "Cap leverage in the policy."
    ),
    Reason.OPEN_INTEREST_CAP: ReasonText(
        "The venue takes no more open interest of this size on this side of the market.",
        "Lower the size, or wait until others close.",
    ),
    Reason.POSITION_EXISTS: ReasonText(
        "The account already holds a position in this token.",
        "Close it first, or use a separate account.",
    ),
    Reason.ORDER_PENDING: ReasonText(
        "Another order on this account and token is not settled yet.",
        "It is resolved by the next execution tick.",
    ),
    Reason.ORDERS_RESTING: ReasonText(
        "Orders that are not ours rest at the venue in this token, and would hit the new position.",
        "Cancel them at the venue.",
    ),
    Reason.TOKEN_NOT_FOLLOWED: ReasonText(
        "What the account holds in this token is not known: it is older than the account's registration, or its fills "
        "contradict each other.",
        "See the open alerts: they say what to do at the venue.",
    ),
    Reason.KILL_SWITCH: ReasonText(
        "A kill switch stops new entries.", "Release it once the cause is understood."
    ),
    Reason.EXECUTION_NOT_AVAILABLE: ReasonText(
        "This version cannot place orders at the venue yet.",
        "Put a venue with execution first in the priority.",
    ),
    Reason.LIVE_TRADING_OFF: ReasonText(
        "The profile sends orders to the venues and the live switch is off.",
        "Set AGENTWHERE_LIVE=yes when you mean it.",
    ),
    Reason.KEY_MISSING: ReasonText(
        "The account's signing key is not in the environment nor in the secret store.",
        "Store it under the name that the account refers to.",
    ),
    Reason.PRICE_UNAVAILABLE: ReasonText("The venue gave no price.", "The next tick tries again."),
    Reason.VENUE_REJECTED: ReasonText(
        "The venue refused the order.", "Read the order's raw reply."
    ),
    Reason.NOT_FILLED: ReasonText(
        "The book had nothing at the price bound.",
        "Raise AGENTWHERE_MAX_SLIPPAGE_BPS, or trade a deeper market.",
    ),
    Reason.NEVER_SENT: ReasonText(
        "The order was cancelled before anything was sent.",
        "Nothing to do: a new attempt follows if it still makes sense.",
    ),
    Reason.NEVER_ARRIVED: ReasonText(
        "The venue proved that it never accepted the order.",
        "Nothing to do: a new attempt follows if it still makes sense.",
    ),
    Reason.OUTCOME_UNCLEAR: ReasonText(
        "The venue's answer was lost; the order is looked up before anything else is done.",
        "Nothing to do; if it stays UNKNOWN, check the venue.",
    ),
    Reason.FOUND_AT_VENUE: ReasonText("A lookup found the order at the venue.", "Nothing to do."),
    Reason.PROTECTION_REPLACED: ReasonText(
        "A protective order was replaced by a new one.", "Nothing to do."
    ),
    Reason.PROTECTION_LOST: ReasonText(
        "A protective order that the venue had accepted is unknown there.",
        "Nothing to do: it is placed again, and the position is closed where that fails.",
    ),
    Reason.POSITION_CLOSED: ReasonText(
        "The position that the order protected is closed.", "Nothing to do."
    ),
    Reason.MODEL_UNAVAILABLE: ReasonText(
        "The arena model's provider could not be reached, or failed.",
        "The next interval asks again; check AGENTWHERE_LLM_BASE_URL and the key.",
    ),
    Reason.MODEL_TIMED_OUT: ReasonText(
        "The arena model did not answer in time.",
        "The next interval asks again; raise AGENTWHERE_LLM_TIMEOUT_S, or choose a faster model.",
    ),
    Reason.MODEL_RATE_LIMITED: ReasonText(
        "The provider's rate limit or quota is used up.",
        "The next interval asks again; invoke less often, or raise the limit at the provider.",
    ),
    Reason.MODEL_REFUSED: ReasonText(
        "The arena model refused to answer.",
        "Nothing was traded; choose another model if it repeats.",
    ),
    Reason.MODEL_CUT_OFF: ReasonText(
        "The answer was cut off, so that none of its calls is executed.",
        "Choose a model that answers briefly.",
    ),
    Reason.CALL_IN_TEXT: ReasonText(
        "The model wrote a tool call in words instead of calling the tool; words are never executed.",
        "Choose a model with tool calling.",
    ),
    Reason.UNKNOWN_TOOL: ReasonText(
        "The model called a tool that does not exist.", "Nothing to do: it was told."
    ),
    Reason.BAD_ARGUMENTS: ReasonText(
        "A tool call's arguments do not fit the schema.", "Nothing to do: it was told."
    ),
    Reason.TOO_MANY_CALLS: ReasonText(
        "One answer holds more tool calls than are looked at.", "Nothing to do: it was told."
    ),
    Reason.UNKNOWN_SYMBOL: ReasonText(
        "The symbol is not among the model's markets.", "Nothing to do: it was told."
    ),
    Reason.BAD_QUANTITY: ReasonText(
        "The quantity is zero or negative.", "Nothing to do: it was told."
    ),
    Reason.QUANTITY_TOO_LARGE: ReasonText(
        "The margin of the position would be more than 25 % of the account.",
        "Nothing to do: it was told.",
    ),
    Reason.STOP_ON_WRONG_SIDE: ReasonText(
        "A stop loss or take profit lies on the wrong side of the price.",
        "Nothing to do: it was told.",
    ),
    Reason.CONTRADICTORY_CALLS: ReasonText(
        "Tool calls of one answer contradict each other.", "Nothing to do: it was told."
    ),
    Reason.NOTHING_TO_CLOSE: ReasonText("No position is open.", "Nothing to do: it was told."),
    Reason.CALL_EXPIRED: ReasonText(
        "The tool call could not be executed before the model's next turn.",
        "See the venue's health; the next invocation decides anew.",
    ),
    Reason.BUDGET_SPENT: ReasonText(
        "The model's budget of the day is used up.",
        "Wait until midnight UTC, or add the model with a larger budget.",
    ),
    Reason.STILL_RUNNING: ReasonText(
        "The model's invocation before is still at work, so this one was left out.",
        "Invoke less often, or choose a faster model.",
    ),
    Reason.INTERRUPTED: ReasonText(
        "The process died while the model was asked; no answer was stored, nothing was traded.",
        "Nothing to do: the next interval asks again.",
    ),
}


def reason_table() -> str:
    """Return ``docs/reasons.md``: every code with its meaning and remedy, in Markdown."""
    rows = "\n".join(
        f"| `{reason.value}` | {REASON_TEXTS[reason].meaning} | {REASON_TEXTS[reason].remedy} |"
        for reason in Reason
    )
    return f"""# Reason codes

Every refusal, reduction and change in the system carries one of these codes, in the order of the flow.
This page is generated from `agentwhere_core/domain/reasons.py`:
`python -m agentwhere_core.domain.reasons > docs/reasons.md`.

| Code | Meaning | What to do |
|---|---|---|
{rows}
"""


if __name__ == "__main__":
    import sys

    sys.stdout.write(reason_table())
