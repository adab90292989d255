"""Keep with a fill which of the position's own prices brought it about, in the venue's word: that is its cause.

Of fills that are stored already, the order behind them says it, as before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

SCHEMA = "agentwhere"


def upgrade() -> None:
    op.add_column("fills", sa.Column("trigger", sa.Text(), nullable=True), schema=SCHEMA)
    op.create_check_constraint(
        op.f("ck_fills_trigger_known"),
        "fills",
        "trigger IN ('TAKE_PROFIT', 'STOP_LOSS')",
        schema=SCHEMA,
    )
    op.create_index("ix_fills_order_id", "fills", ["order_id"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_index("ix_fills_order_id", "fills", schema=SCHEMA)
    op.drop_column("fills", "trigger", schema=SCHEMA)
