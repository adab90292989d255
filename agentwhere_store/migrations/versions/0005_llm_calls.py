"""Keep every question to the language model with its cost, and let posts that are too old stop waiting."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "llm_calls",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("post_id", sa.Uuid(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("answered_by", sa.Text(), nullable=False),
        sa.Column("prompt_version", sa.Text(), nullable=False),
        sa.Column("schema_version", sa.Text(), nullable=False),
        sa.Column("answered", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("raw_response", JSONB(), server_default="{}", nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("completion_tokens", sa.Integer(), nullable=False),
        sa.Column("cost_usd", sa.Numeric(), nullable=True),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(reason IS NULL) = answered", name=op.f("ck_llm_calls_reason_without_answer")
        ),
        sa.CheckConstraint("cost_usd >= 0", name=op.f("ck_llm_calls_cost_not_negative")),
        sa.ForeignKeyConstraint(
            ["post_id"], ["agentwhere.posts.id"], name=op.f("fk_llm_calls_post_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_llm_calls")),
        schema="agentwhere",
    )
    op.create_index("ix_llm_calls_at", "llm_calls", ["at"], schema="agentwhere")
    op.create_index(
        "ix_llm_calls_answers",
        "llm_calls",
        ["content_hash", "prompt_version", "schema_version", "model"],
        schema="agentwhere",
        postgresql_where=sa.text("answered"),
    )
    op.add_column(
        "classifications",
        sa.Column("is_cached", sa.Boolean(), server_default="false", nullable=False),
        schema="agentwhere",
    )
    _allow_states("'PENDING', 'CLASSIFIED', 'EXPIRED'")


def downgrade() -> None:
    op.execute("UPDATE agentwhere.posts SET state = 'PENDING' WHERE state = 'EXPIRED'")
    _allow_states("'PENDING', 'CLASSIFIED'")
    op.drop_column("classifications", "is_cached", schema="agentwhere")
    op.drop_table("llm_calls", schema="agentwhere")


def _allow_states(words: str) -> None:
    name = op.f("ck_posts_state_known")
    op.drop_constraint(name, "posts", schema="agentwhere")
    op.create_check_constraint(name, "posts", f"state IN ({words})", schema="agentwhere")
