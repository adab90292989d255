"""Keep scenes, legs and configuration versions of routing, what markets cost, and what a mid was.

Scenes and versions are what decisions refer to: a trigger refuses to change or delete them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SCHEMA = "agentwhere"
VENUES = "('SPOT', 'GMX', 'HYPERLIQUID', 'OSTIUM', 'LIGHTER', 'MULTI')"
STRATEGIES = "('FIRST_AVAILABLE', 'BEST_LIQUIDITY', 'LOWEST_FEES', 'SPLIT')"
KEPT = ("routing_config_versions", "routing_scenes")


def _json(name: str) -> sa.Column[object]:
    return sa.Column(
        name, postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
    )


def upgrade() -> None:
    _market_columns()
    _config_versions()
    _scenes_and_legs()
    op.add_column("orders", sa.Column("mid_price", sa.Numeric(), nullable=True), schema=SCHEMA)
    for name in ("fees_bps", "slippage_bps", "funding_bps"):
        column: sa.Column[object] = sa.Column(name, sa.Numeric(), nullable=True)
        op.add_column("routing_regret", column, schema=SCHEMA)
    op.execute(
        f"""CREATE FUNCTION {SCHEMA}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION 'rows of % are kept as they are: decisions refer to them', TG_TABLE_NAME;
            END $$"""
    )
    for table in KEPT:
        op.execute(
            f"""CREATE TRIGGER {table}_are_kept BEFORE UPDATE OR DELETE ON {SCHEMA}.{table}
                FOR EACH ROW EXECUTE FUNCTION {SCHEMA}.refuse_change()"""
        )


def _market_columns() -> None:
    columns: list[sa.Column[object]] = [
        sa.Column("close_fee_bps", sa.Numeric(), nullable=True),
        sa.Column("gas_fee_usd", sa.Numeric(), server_default="0", nullable=False),
        sa.Column("rollover_hourly", sa.Numeric(), nullable=True),
        sa.Column("long_headroom_usd", sa.Numeric(), nullable=True),
        sa.Column("short_headroom_usd", sa.Numeric(), nullable=True),
        sa.Column("oracle_impact", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    ]
    for column in columns:
        op.add_column("venue_markets", column, schema=SCHEMA)


def _config_versions() -> None:
    op.add_column("venue_routing_config", _json("token_exclusions"), schema=SCHEMA)
    op.create_table(
        "routing_config_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("venue_priority", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("routing_strategy", sa.Text(), nullable=False),
        sa.Column("failover_enabled", sa.Boolean(), nullable=False),
        _json("token_overrides"),
        _json("token_exclusions"),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            f"routing_strategy IN {STRATEGIES}",
            name=op.f("ck_routing_config_versions_routing_strategy_known"),
        ),
        sa.CheckConstraint(
            "cardinality(venue_priority) > 0",
            name=op.f("ck_routing_config_versions_priority_not_empty"),
        ),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agentwhere.agents.id"], name=op.f("fk_routing_config_versions_agent_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routing_config_versions")),
        sa.UniqueConstraint(
            "agent_id",
            "version",
            name=op.f("uq_routing_config_versions_agent_id_version"),
            postgresql_nulls_not_distinct=True,
        ),
        schema=SCHEMA,
    )
    op.execute(
        """INSERT INTO agentwhere.routing_config_versions
                (id, agent_id, version, venue_priority, routing_strategy, failover_enabled, token_overrides,
                 author, created_at)
            SELECT id, agent_id, version, venue_priority, routing_strategy, failover_enabled, token_overrides,
                   'unknown', updated_at
            FROM agentwhere.venue_routing_config"""
    )


def _scenes_and_legs() -> None:
    op.create_table(
        "routing_scenes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_symbol", sa.Text(), nullable=False),
        _json("scene"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routing_scenes")),
        schema=SCHEMA,
    )
    op.add_column(
        "venue_routing_history", sa.Column("scene_id", sa.Uuid(), nullable=True), schema=SCHEMA
    )
    op.create_foreign_key(
        op.f("fk_venue_routing_history_scene_id"),
        "venue_routing_history",
        "routing_scenes",
        ["scene_id"],
        ["id"],
        source_schema=SCHEMA,
        referent_schema=SCHEMA,
    )
    op.create_table(
        "routing_legs",
        sa.Column("routing_id", sa.Uuid(), nullable=False),
        sa.Column("leg", sa.Integer(), nullable=False),
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("share", sa.Numeric(), nullable=False),
        sa.CheckConstraint(f"venue IN {VENUES}", name=op.f("ck_routing_legs_venue_known")),
        sa.CheckConstraint("leg >= 0", name=op.f("ck_routing_legs_leg_not_negative")),
        sa.CheckConstraint("share > 0 AND share < 1", name=op.f("ck_routing_legs_share_is_a_part")),
        sa.CheckConstraint("venue <> 'MULTI'", name=op.f("ck_routing_legs_never_multi")),
        sa.ForeignKeyConstraint(
            ["routing_id"],
            ["agentwhere.venue_routing_history.id"],
            name=op.f("fk_routing_legs_routing_id"),
        ),
        sa.PrimaryKeyConstraint("routing_id", "leg", name=op.f("pk_routing_legs")),
        sa.UniqueConstraint("routing_id", "venue", name=op.f("uq_routing_legs_routing_id_venue")),
        schema=SCHEMA,
    )


def downgrade() -> None:
    for table in KEPT:
        op.execute(f"DROP TRIGGER {table}_are_kept ON {SCHEMA}.{table}")
    op.execute(f"DROP FUNCTION {SCHEMA}.refuse_change()")
    for name in ("funding_bps", "slippage_bps", "fees_bps"):
        op.drop_column("routing_regret", name, schema=SCHEMA)
    op.drop_column("orders", "mid_price", schema=SCHEMA)
    op.drop_table("routing_legs", schema=SCHEMA)
    op.drop_column("venue_routing_history", "scene_id", schema=SCHEMA)
    op.drop_table("routing_scenes", schema=SCHEMA)
    op.drop_table("routing_config_versions", schema=SCHEMA)
    op.drop_column("venue_routing_config", "token_exclusions", schema=SCHEMA)
    for name in (
        "oracle_impact",
        "short_headroom_usd",
        "long_headroom_usd",
        "rollover_hourly",
        "gas_fee_usd",
        "close_fee_bps",
    ):
        op.drop_column("venue_markets", name, schema=SCHEMA)
