"""Agents and their sources, posts, classifications, signals, markets and their context."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy import (
    text as sql,
)

from agentwhere_core.domain.enums import (
    AgentStatus,
    Horizon,
    PostState,
    Side,
    SourceKind,
    Venue,
)
from agentwhere_store.tables.base import check, json, key, metadata, number, one_of, ref, text, time

agents = Table(
    "agents",
    metadata,
    key(),
    text("name"),
    text("creator_wallet"),
    *one_of("venue", Venue),
    *one_of("status", AgentStatus),
    number("leverage", default="1"),
    number("stop_loss_pct", nullable=True),
    number("take_profit_pct", nullable=True),
    number("trailing_activation_pct", nullable=True),
    number("trailing_distance_pct", nullable=True),
    number("max_holding_h", nullable=True),
    time("created_at"),
    time("updated_at"),
    UniqueConstraint("name"),
    check("leverage_positive", "leverage >= 1"),
    check("stop_loss_range", "stop_loss_pct > 0 AND stop_loss_pct < 100"),
    check("take_profit_positive", "take_profit_pct > 0"),
    check(
        "trailing_whole",
        "(trailing_activation_pct IS NULL) = (trailing_distance_pct IS NULL)",
    ),
)

x_accounts = Table(
    "x_accounts",
    metadata,
    key(),
    text("handle"),
    text("user_id", nullable=True),
    text("since_id", nullable=True),
    time("last_fetched", nullable=True),
    text("last_error", nullable=True),
    time("retry_at", nullable=True),
    time("created_at"),
    UniqueConstraint("handle"),
    check("handle_lower", "handle = lower(handle) AND handle <> ''"),
)

research_sources = Table(
    "research_sources",
    metadata,
    key(),
    text("url"),
    text("title", nullable=True),
    text("etag", nullable=True),
    text("last_modified", nullable=True),
    time("last_fetched", nullable=True),
    text("last_error", nullable=True),
    time("retry_at", nullable=True),
    time("created_at"),
    UniqueConstraint("url"),
)

agent_sources = Table(
    "agent_sources",
    metadata,
    key(),
    ref("agent_id", "agents"),
    ref("x_account_id", "x_accounts", nullable=True),
    ref("research_source_id", "research_sources", nullable=True),
    UniqueConstraint("agent_id", "x_account_id"),
    UniqueConstraint("agent_id", "research_source_id"),
    check("exactly_one_source", "num_nonnulls(x_account_id, research_source_id) = 1"),
)

posts = Table(
    "posts",
    metadata,
    key(),
    *one_of("source_kind", SourceKind),
    Column("source_id", Uuid, nullable=False),
    text("external_id"),
    text("text"),
    text("url", nullable=True),
    text("content_hash"),
    time("published_at"),
    time("ingested_at"),
    *one_of("state", PostState, default="PENDING"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    text("last_error", nullable=True),
    text("last_reason", nullable=True),
    UniqueConstraint("source_id", "external_id"),
    Index("ix_posts_pending", "ingested_at", postgresql_where=sql("state = 'PENDING'")),
    Index("ix_posts_published_at", "published_at"),
)

classifications = Table(
    "classifications",
    metadata,
    key(),
    ref("post_id", "posts", unique=True),
    Column("is_signal", Boolean, nullable=False),
    json("refusals", "[]"),
    text("reasoning"),
    text("model"),
    text("prompt_version"),
    text("schema_version"),
    json("raw_response"),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    number("cost_usd", nullable=True),
    Column("latency_ms", Integer, nullable=False),
    time("created_at"),
)

mentions = Table(
    "mentions",
    metadata,
    key(),
    ref("post_id", "posts"),
    text("token"),
    *one_of("side", Side),
    number("confidence"),
    *one_of("horizon", Horizon),
    time("created_at"),
    UniqueConstraint("post_id", "token"),
    check("confidence_range", "confidence >= 0 AND confidence <= 1"),
)

signals = Table(
    "signals",
    metadata,
    key(),
    ref("agent_id", "agents"),
    text("batch"),
    text("token"),
    *one_of("side", Side),
    *one_of("venue", Venue),
    number("fund_percentage"),
    number("confidence"),
    number("leverage"),
    number("stop_loss_pct", nullable=True),
    number("take_profit_pct", nullable=True),
    number("trailing_activation_pct", nullable=True),
    number("trailing_distance_pct", nullable=True),
    number("max_holding_h", nullable=True),
    text("reasoning"),
    Column("source_post_ids", ARRAY(Uuid), nullable=False),
    json("explanation"),
    time("created_at"),
    time("expires_at"),
    UniqueConstraint("agent_id", "token", "batch"),
    Index("ix_signals_expires_at", "expires_at"),
    check("fund_percentage_range", "fund_percentage > 0 AND fund_percentage <= 25"),
    check("confidence_range", "confidence >= 0 AND confidence <= 1"),
    check("leverage_positive", "leverage >= 1"),
    check("expires_later", "expires_at > created_at"),
)

signal_refusals = Table(
    "signal_refusals",
    metadata,
    key(),
    ref("agent_id", "agents"),
    text("batch"),
    text("token"),
    text("reason"),
    text("detail"),
    Column("source_post_ids", ARRAY(Uuid), nullable=False),
    time("created_at"),
    UniqueConstraint("agent_id", "token", "batch", "reason"),
)

venue_markets = Table(
    "venue_markets",
    metadata,
    key(),
    *one_of("venue", Venue),
    text("token_symbol"),
    text("market_name"),
    Column("market_index", BigInteger, nullable=False),
    number("size_multiplier"),
    Column("is_active", Boolean, nullable=False),
    text("group"),
    Column("size_decimals", Integer, nullable=False),
    Column("price_decimals", Integer, nullable=True),
    number("min_size"),
    number("min_notional_usd"),
    number("max_leverage"),
    number("taker_fee_bps"),
    number("oracle_fee_usd"),
    number("price", nullable=True),
    number("spread_bps", nullable=True),
    number("volume_24h_usd", nullable=True),
    number("open_interest_usd", nullable=True),
    number("funding_hourly", nullable=True),
    number("change_24h", nullable=True),
    Column("is_open", Boolean, nullable=False),
    time("opens_at", nullable=True),
    time("last_synced"),
    json("metadata"),
    UniqueConstraint("venue", "token_symbol"),
    check("size_multiplier_positive", "size_multiplier > 0"),
    check("price_positive", "price > 0"),
)

market_context = Table(
    "market_context",
    metadata,
    key(),
    *one_of("venue", Venue),
    text("token_symbol"),
    time("at"),
    number("price", nullable=True),
    number("change_24h", nullable=True),
    number("volume_24h_usd", nullable=True),
    number("open_interest_usd", nullable=True),
    number("funding_hourly", nullable=True),
    number("spread_bps", nullable=True),
    number("volatility_24h", nullable=True),
    UniqueConstraint("venue", "token_symbol", "at"),
    Index("ix_market_context_latest", "token_symbol", "at"),
)

candles = Table(
    "candles",
    metadata,
    *(
        Column(name, Text, primary_key=True, nullable=False)
        for name in ("venue", "token_symbol", "interval")
    ),
    Column("open_time", time("t").type, primary_key=True, nullable=False),
    number("open"),
    number("high"),
    number("low"),
    number("close"),
    number("volume"),
    Column("is_closed", Boolean, nullable=False),
    check("high_is_high", "high >= open AND high >= close AND high >= low"),
    check("low_is_low", "low <= open AND low <= close"),
)
