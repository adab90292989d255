"""Remember on which days a deployment's losses stopped it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SCHEMA = "agentwhere"


def upgrade() -> None:
    op.create_table(
        "deployment_halts",
        sa.Column("deployment_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("pnl_usd", sa.Numeric(), nullable=False),
        sa.Column("limit_usd", sa.Numeric(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("pnl_usd <= -limit_usd", name=op.f("ck_deployment_halts_limit_reached")),
        sa.ForeignKeyConstraint(
            ["deployment_id"],
            [f"{SCHEMA}.deployments.id"],
            name=op.f("fk_deployment_halts_deployment_id"),
        ),
        sa.PrimaryKeyConstraint("deployment_id", "day", name=op.f("pk_deployment_halts")),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("deployment_halts", schema=SCHEMA)
