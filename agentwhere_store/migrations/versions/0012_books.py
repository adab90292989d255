"""Keep what each deployment has earned as one row per venue, and mark those rows whose positions changed.

Marking is done by statement-level triggers, in the transaction of the change: nothing is missed, and no clock is asked.
Marks are only added, never merged, so that no writer waits for another, and a mark that is not committed yet stays.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SCHEMA = "agentwhere"
TRIGGERS = {"INSERT": "NEW", "UPDATE": "NEW", "DELETE": "OLD"}


def upgrade() -> None:
    op.create_table(
        "deployment_totals",
        *_place("deployment_totals"),
        sa.PrimaryKeyConstraint("deployment_id", "venue", name=op.f("pk_deployment_totals")),
        sa.Column("closed_positions", sa.Integer(), nullable=False),
        sa.Column("realized_pnl_usd", sa.Numeric(), nullable=False),
        sa.Column("unrealized_pnl_usd", sa.Numeric(), nullable=False),
        sa.Column("fees_usd", sa.Numeric(), nullable=False),
        sa.Column("funding_usd", sa.Numeric(), nullable=False),
        schema=SCHEMA,
    )
    op.create_table("stale_books", *_place("stale_books"), schema=SCHEMA)
    op.create_index(
        "ix_positions_deployment_id_venue", "positions", ["deployment_id", "venue"], schema=SCHEMA
    )
    op.execute(
        "INSERT INTO agentwhere.stale_books SELECT DISTINCT deployment_id, venue FROM agentwhere.positions"
    )
    op.execute(
        """
        CREATE FUNCTION agentwhere.mark_stale_books() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO agentwhere.stale_books (deployment_id, venue)
            SELECT DISTINCT deployment_id, venue FROM changed;
            RETURN NULL;
        END $$
        """
    )
    for event, rows in TRIGGERS.items():
        op.execute(
            f"CREATE TRIGGER mark_stale_books_on_{event.lower()} AFTER {event} ON agentwhere.positions "
            f"REFERENCING {rows} TABLE AS changed "
            "FOR EACH STATEMENT EXECUTE FUNCTION agentwhere.mark_stale_books()"
        )


def downgrade() -> None:
    op.execute("DROP FUNCTION agentwhere.mark_stale_books CASCADE")
    op.drop_index("ix_positions_deployment_id_venue", "positions", schema=SCHEMA)
    op.drop_table("stale_books", schema=SCHEMA)
    op.drop_table("deployment_totals", schema=SCHEMA)


def _place(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("deployment_id", sa.Uuid(), nullable=False),
        sa.Column("venue", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment_id"],
            [f"{SCHEMA}.deployments.id"],
            name=op.f(f"fk_{table}_deployment_id"),
        ),
    ]
