"""Keys and audit log of the HTTP API, and announcements of changes.

Statement-level triggers announce which table changed, once per transaction, on the channel `agentwhere_changes`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ANNOUNCED = (
    "agent_metrics",
    "agents",
    "alerts",
    "deployments",
    "health_reports",
    "invocations",
    "kill_switches",
    "models",
    "orders",
    "portfolio_size",
    "positions",
    "signals",
    "tool_calls",
    "venue_routing_config",
    "venue_routing_history",
)


def upgrade() -> None:
    _keys()
    _writes()
    op.execute(
        """
        CREATE FUNCTION agentwhere.announce_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('agentwhere_changes', TG_TABLE_NAME);
            RETURN NULL;
        END $$
        """
    )
    for table in ANNOUNCED:
        op.execute(
            f"CREATE TRIGGER announce_change AFTER INSERT OR UPDATE OR DELETE ON agentwhere.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION agentwhere.announce_change()"
        )


def downgrade() -> None:
    op.execute("DROP FUNCTION agentwhere.announce_change CASCADE")
    op.drop_table("api_writes", schema="agentwhere")
    op.drop_table("api_keys", schema="agentwhere")


def _keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("public_part", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("octet_length(digest) = 32", name=op.f("ck_api_keys_digest_is_sha256")),
        sa.CheckConstraint(
            "scopes <@ ARRAY['read', 'operate', 'trade']", name=op.f("ck_api_keys_scopes_known")
        ),
        sa.CheckConstraint("cardinality(scopes) > 0", name=op.f("ck_api_keys_may_something")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        schema="agentwhere",
    )
    op.create_index(
        "uq_api_keys_one_valid_per_name",
        "api_keys",
        ["name"],
        unique=True,
        schema="agentwhere",
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_index(
        "uq_api_keys_public_part", "api_keys", ["public_part"], unique=True, schema="agentwhere"
    )


def _writes() -> None:
    op.create_table(
        "api_writes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column(
            "body", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["agentwhere.api_keys.id"], name=op.f("fk_api_writes_key_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_writes")),
        schema="agentwhere",
    )
    op.create_index("ix_api_writes_at", "api_writes", ["at"], schema="agentwhere")
