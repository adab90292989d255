"""Extend routing decisions by the attempts that a venue rejected, and by where the trade went then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCHEMA, TABLE = "agentwhere", "venue_routing_history"
_VENUES = "'SPOT', 'GMX', 'HYPERLIQUID', 'OSTIUM', 'LIGHTER', 'MULTI'"


def upgrade() -> None:
    op.add_column(
        TABLE,
        sa.Column(
            "attempts",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        schema=SCHEMA,
    )
    op.add_column(TABLE, sa.Column("failover_venue", sa.Text(), nullable=True), schema=SCHEMA)
    for name, rule in (
        ("failover_venue_known", f"failover_venue IN ({_VENUES})"),
        ("failover_has_attempts", "failover_venue IS NULL OR jsonb_array_length(attempts) > 0"),
    ):
        op.create_check_constraint(op.f(f"ck_{TABLE}_{name}"), TABLE, rule, schema=SCHEMA)


def downgrade() -> None:
    for name in ("failover_has_attempts", "failover_venue_known"):
        op.drop_constraint(op.f(f"ck_{TABLE}_{name}"), TABLE, schema=SCHEMA)
    for name in ("failover_venue", "attempts"):
        op.drop_column(TABLE, name, schema=SCHEMA)
