"""Why a signal is what it is: its posts, the market it met, and every factor of its size. Reads only."""

from __future__ import annotations

from typing import Any

from agentwhere_core.domain.errors import NoSuchThingError
from agentwhere_flow.system import System
from agentwhere_store import signals as signal_store


def signal_story(system: System, signal_id: str) -> dict[str, Any]:
    """Return a signal with its explanation, each post in it with its source and text.

    Parameters
    ----------
    signal_id
        The id, or its last characters where they tell it apart.

    Raises
    ------
    NoSuchThingError
        If no signal has this id, or several end so.
    """
    with system.engine.connect() as conn:
        found = signal_store.signals_ending(conn, signal_id.lower())
        if len(found) != 1:
            many = "several signals' ids end so" if found else "no signal's id ends so"
            raise NoSuchThingError(f"{signal_id!r}: {many}; see `agentwhere signals list --json`")
        posts = signal_store.posts_of_signal(conn, found[0]["id"])
    story = dict(found[0])
    told = {str(post.pop("post_id")): post for post in posts}
    story["explanation"]["posts"] = [
        post | told.get(post["post_id"], {}) for post in story["explanation"]["posts"]
    ]
    return story


def in_words(story: dict[str, Any]) -> list[str]:
    """Return a signal's story as lines for people: each factor with its value, in the order of the arithmetic."""
    why = story["explanation"]
    size = why["size"]
    lines = [
        (
            f"{story['side']} {story['token']} of {story['agent']}, batch {story['batch']}: "
            f"{story['fund_percentage']} % of the funds, expires {story['expires_at']:%Y-%m-%d %H:%M} UTC"
        ),
        f"id {story['id']}",
    ]
    for post in why["posts"]:
        lines += [
            "",
            f"{post['side']} by {post.get('source', post['source_id'])}, {post['published_at']}",
            f"  {' '.join(str(post.get('text', '')).split())[:300]}",
            (
                f"  confidence {post['confidence']} × source weight {post['source_weight']} "
                f"× context factor {post['context_factor']} = score {post['score']}"
            ),
        ]
    factor = why["context_factor"]
    lines += ["", f"market: context factor {factor['value']}"]
    lines += [
        f"  {term['name']}: {term['measured'] or 'unknown'} → {term['value']} ({term['why']})"
        for term in factor["terms"]
    ]
    lines += [
        "",
        f"score {why['score']} = {why['score_for']} for − {why['score_against']} against, {why['voices']} voices",
        f"size by score (cap {size['cap_pct']} %, k = {size['curvature']}): {size['by_score_pct']} %",
        f"after corroboration (one voice at most {size['corroboration_pct']} %): {size['before_budget_pct']} %",
        f"after the batch's budget ({size['budget_pct']} % left): {size['fund_percentage']} %",
    ]
    return lines
