"""Sources: who is followed, and what following them was worth."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, literal, select, union_all

from agentwhere_core.domain.enums import SourceKind
from agentwhere_flow.pages.reading import rows
from agentwhere_store.tables.ideas import agent_sources, posts, research_sources, x_accounts
from agentwhere_store.tables.operations import source_scores

if TYPE_CHECKING:
    from agentwhere_flow.system import System

WEEK = timedelta(weeks=1)


def sources_page(system: System, now: datetime) -> dict[str, Any]:
    """Return every source with its track record, its posts of the last week, and how its last reading went."""
    known = union_all(
        select(
            x_accounts.c.id,
            literal(SourceKind.X.value).label("kind"),
            (literal("@") + x_accounts.c.handle).label("name"),
            literal("").label("url"),
            x_accounts.c.last_fetched,
            x_accounts.c.last_error,
        ),
        select(
            research_sources.c.id,
            literal(SourceKind.FEED.value),
            func.coalesce(research_sources.c.title, research_sources.c.url),
            research_sources.c.url,
            research_sources.c.last_fetched,
            research_sources.c.last_error,
        ),
    ).subquery("known")
    lately = (
        select(posts.c.source_id, func.count().label("posts"))
        .where(posts.c.ingested_at > now - WEEK)
        .group_by(posts.c.source_id)
        .subquery()
    )
    followed = func.coalesce(agent_sources.c.x_account_id, agent_sources.c.research_source_id)
    followers = (
        select(followed.label("source_id"), func.count().label("agents"))
        .group_by(followed)
        .subquery()
    )
    score = source_scores.c
    query = (
        select(
            known.c.id,
            known.c.kind,
            known.c.name,
            known.c.url,
            known.c.last_fetched,
            known.c.last_error,
            func.coalesce(lately.c.posts, 0).label("posts_7d"),
            func.coalesce(followers.c.agents, 0).label("agents"),
            func.coalesce(score.signals, 0).label("signals"),
            func.coalesce(score.closed, 0).label("closed"),
            func.coalesce(score.hits, 0).label("hits"),
            score.hit_rate,
            score.hit_rate_low,
            score.hit_rate_high,
            score.pnl_usd,
            score.weight,
        )
        .outerjoin(source_scores, score.source_id == known.c.id)
        .outerjoin(lately, lately.c.source_id == known.c.id)
        .outerjoin(followers, followers.c.source_id == known.c.id)
        .order_by(score.pnl_usd.desc().nulls_last(), known.c.name)
    )
    with system.engine.connect() as conn:
        return {"at": now.isoformat(), "sources": rows(conn, query)}
