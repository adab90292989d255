"""How venues are chosen, and every choice that was made."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    ForeignKey,
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
    RoutingStrategy,
    Venue,
)
from agentwhere_store.tables.base import (
    SCHEMA,
    check,
    json,
    key,
    metadata,
    number,
    one_of,
    ref,
    text,
    time,
)

venue_routing_config = Table(
    "venue_routing_config",
    metadata,
    key(),
    ref("agent_id", "agents", nullable=True),
    Column("venue_priority", ARRAY(Text), nullable=False),
    *one_of("routing_strategy", RoutingStrategy),
    Column("failover_enabled", Boolean, nullable=False),
    json("token_overrides"),
    json("token_exclusions"),
    Column("version", Integer, nullable=False, server_default="1"),
    time("created_at"),
    time("updated_at"),
    UniqueConstraint("agent_id", postgresql_nulls_not_distinct=True),
    check("priority_not_empty", "cardinality(venue_priority) > 0"),
)

# Every configuration that ever stood, by its version; a trigger refuses to change or delete one.
routing_config_versions = Table(
    "routing_config_versions",
    metadata,
    key(),
    ref("agent_id", "agents", nullable=True),
    Column("version", Integer, nullable=False),
    Column("venue_priority", ARRAY(Text), nullable=False),
    *one_of("routing_strategy", RoutingStrategy),
    Column("failover_enabled", Boolean, nullable=False),
    json("token_overrides"),
    json("token_exclusions"),
    text("author"),
    time("created_at"),
    UniqueConstraint("agent_id", "version", postgresql_nulls_not_distinct=True),
    check("priority_not_empty", "cardinality(venue_priority) > 0"),
)

# What the decisions of one pass on one token have in common; a trigger refuses to change or delete one.
routing_scenes = Table(
    "routing_scenes",
    metadata,
    key(),
    text("token_symbol"),
    json("scene"),
    time("created_at"),
)

venue_routing_history = Table(
    "venue_routing_history",
    metadata,
    key(),
    ref("signal_id", "signals"),
    ref("deployment_id", "deployments"),
    Column("attempt", Integer, nullable=False, server_default="1"),
    text("token_symbol"),
    *one_of("requested_venue", Venue),
    *one_of("selected_venue", Venue, nullable=True),
    text("routing_reason"),
    text("story"),
    Column("checked_venues", ARRAY(Text), nullable=False),
    json("venue_availability", "[]"),
    *one_of("routing_strategy", RoutingStrategy),
    Column("config_version", Integer, nullable=False),
    json("inputs"),
    ref("scene_id", "routing_scenes", nullable=True),
    number("routing_duration_ms"),
    json("attempts", "[]"),
    *one_of("failover_venue", Venue, nullable=True),
    time("created_at"),
    UniqueConstraint("signal_id", "deployment_id", "attempt"),
    Index("ix_venue_routing_history_created_at", "created_at"),
    check("never_multi", "selected_venue <> 'MULTI'"),
    check("failover_has_attempts", "failover_venue IS NULL OR jsonb_array_length(attempts) > 0"),
)

# The parts of a trade that is split; a trade that goes to one venue has none.
routing_legs = Table(
    "routing_legs",
    metadata,
    Column(
        "routing_id",
        Uuid,
        ForeignKey(f"{SCHEMA}.venue_routing_history.id"),
        primary_key=True,
    ),
    Column("leg", Integer, primary_key=True),
    *one_of("venue", Venue),
    number("share"),
    *one_of("failover_venue", Venue, nullable=True),
    UniqueConstraint("routing_id", "venue"),
    # Wherever legs have moved to, no two are at one venue.
    Index(
        "uq_routing_legs_venue_now",
        "routing_id",
        sql("coalesce(failover_venue, venue)"),
        unique=True,
    ),
    check("leg_not_negative", "leg >= 0"),
    check("share_is_a_part", "share > 0 AND share < 1"),
    check("never_multi", "venue <> 'MULTI'"),
    check("failover_never_multi", "failover_venue <> 'MULTI'"),
)
