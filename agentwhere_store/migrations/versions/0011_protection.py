"""Let each open position say how it is protected, and each account which tokens are not ours to follow.

Positions that are open already are looked at by the next tick of the monitor: until then they are PENDING.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

SCHEMA = "agentwhere"


def upgrade() -> None:
    columns: list[sa.Column[object]] = [
        sa.Column("protection", sa.Text(), server_default="PENDING", nullable=False),
        sa.Column(
            "protect_by",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
        ),
        sa.Column("resting_stop_price", sa.Numeric(), nullable=True),
        sa.Column("resting_target_price", sa.Numeric(), nullable=True),
    ]
    for column in columns:
        op.add_column("positions", column, schema=SCHEMA)
    for name, rule in {
        "protection_known": "protection IN "
        "('PENDING', 'PROTECTED', 'MISSING', 'CLOSING', 'WAIVED', 'OUTSIDE')",
        "debt_has_deadline": "protection NOT IN ('PENDING', 'MISSING') OR protect_by IS NOT NULL",
        "waived_has_no_stop": "protection <> 'WAIVED' OR stop_loss_price IS NULL",
    }.items():
        op.create_check_constraint(op.f(f"ck_positions_{name}"), "positions", rule, schema=SCHEMA)
    op.create_index(
        "uq_orders_one_doubtful_protection",
        "orders",
        ["position_id", "purpose"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text(
            "purpose IN ('TAKE_PROFIT', 'STOP_LOSS') AND state IN ('PLANNED', 'SENDING', 'UNKNOWN')"
        ),
    )
    _create_untracked_tokens()


def downgrade() -> None:
    op.drop_table("untracked_tokens", schema=SCHEMA)
    op.drop_index("uq_orders_one_doubtful_protection", "orders", schema=SCHEMA)
    for name in ("protection", "protect_by", "resting_stop_price", "resting_target_price"):
        op.drop_column("positions", name, schema=SCHEMA)


def _create_untracked_tokens() -> None:
    op.create_table(
        "untracked_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("token_symbol", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "cause IN ('OLDER_POSITION', 'FILLS_CONTRADICT')",
            name=op.f("ck_untracked_tokens_cause_known"),
        ),
        sa.CheckConstraint("until >= since", name=op.f("ck_untracked_tokens_ends_after_start")),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["agentwhere.venue_accounts.id"],
            name=op.f("fk_untracked_tokens_account_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_untracked_tokens")),
        schema=SCHEMA,
    )
    op.create_index(
        "uq_untracked_tokens_one_open",
        "untracked_tokens",
        ["account_id", "token_symbol"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("until IS NULL"),
    )
