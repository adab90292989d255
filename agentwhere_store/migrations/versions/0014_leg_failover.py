"""Let each leg of a split trade go to another venue, where no other leg is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

SCHEMA, TABLE = "agentwhere", "routing_legs"
INDEX = "uq_routing_legs_venue_now"
_VENUES = "'SPOT', 'GMX', 'HYPERLIQUID', 'OSTIUM', 'LIGHTER', 'MULTI'"


def upgrade() -> None:
    op.add_column(TABLE, sa.Column("failover_venue", sa.Text(), nullable=True), schema=SCHEMA)
    for name, rule in (
        ("failover_venue_known", f"failover_venue IN ({_VENUES})"),
        ("failover_never_multi", "failover_venue <> 'MULTI'"),
    ):
        op.create_check_constraint(op.f(f"ck_{TABLE}_{name}"), TABLE, rule, schema=SCHEMA)
    op.create_index(
        INDEX,
        TABLE,
        ["routing_id", sa.text("coalesce(failover_venue, venue)")],
        unique=True,
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_index(INDEX, TABLE, schema=SCHEMA)
    for name in ("failover_never_multi", "failover_venue_known"):
        op.drop_constraint(op.f(f"ck_{TABLE}_{name}"), TABLE, schema=SCHEMA)
    op.drop_column(TABLE, "failover_venue", schema=SCHEMA)
