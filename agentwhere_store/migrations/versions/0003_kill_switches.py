"""Let a kill switch close what is open, and keep who released it and why."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "agentwhere"


def upgrade() -> None:
    op.add_column(
        "kill_switches",
        sa.Column("closes_all", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        schema=SCHEMA,
    )
    for name in ("released_by", "release_reason"):
        op.add_column("kill_switches", sa.Column(name, sa.Text(), nullable=True), schema=SCHEMA)
    op.execute(
        "UPDATE agentwhere.kill_switches SET released_by = author WHERE released_at IS NOT NULL"
    )
    op.create_check_constraint(
        op.f("ck_kill_switches_target_named"),
        "kill_switches",
        "(scope = 'GLOBAL') = (target = '')",
        schema=SCHEMA,
    )
    op.create_check_constraint(
        op.f("ck_kill_switches_release_signed"),
        "kill_switches",
        "(released_at IS NULL) = (released_by IS NULL)",
        schema=SCHEMA,
    )


def downgrade() -> None:
    for name in ("target_named", "release_signed"):
        op.drop_constraint(op.f(f"ck_kill_switches_{name}"), "kill_switches", schema=SCHEMA)
    for name in ("release_reason", "released_by", "closes_all"):
        op.drop_column("kill_switches", name, schema=SCHEMA)
