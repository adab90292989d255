"""Keep who was told of an alert, and who has taken it on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert_notices",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), server_default="0", nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="PENDING", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('OPENED', 'REPEATED', 'RECOVERED')", name=op.f("ck_alert_notices_kind_known")
        ),
        sa.CheckConstraint(
            "number = 0 OR kind = 'REPEATED'", name=op.f("ck_alert_notices_only_repetitions_count")
        ),
        sa.CheckConstraint(
            "severity IN ('WARNING', 'CRITICAL')", name=op.f("ck_alert_notices_severity_known")
        ),
        sa.CheckConstraint(
            "state IN ('PENDING', 'SENDING', 'SENT', 'WITHDRAWN', 'GIVEN_UP')",
            name=op.f("ck_alert_notices_state_known"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('SENDING', 'SENT') OR told_at IS NOT NULL",
            name=op.f("ck_alert_notices_told_when_out"),
        ),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["agentwhere.alerts.id"], name=op.f("fk_alert_notices_alert_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_notices")),
        sa.UniqueConstraint(
            "alert_id",
            "target",
            "kind",
            "number",
            name=op.f("uq_alert_notices_alert_id_target_kind_number"),
        ),
        schema="agentwhere",
    )
    op.create_index(
        "ix_alert_notices_unfinished",
        "alert_notices",
        ["next_attempt_at"],
        unique=False,
        schema="agentwhere",
        postgresql_where=sa.text("state IN ('PENDING', 'SENDING')"),
    )
    op.add_column(
        "alerts",
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        schema="agentwhere",
    )
    op.add_column(
        "alerts", sa.Column("acknowledged_by", sa.Text(), nullable=True), schema="agentwhere"
    )
    op.create_check_constraint(
        "acknowledged_by_somebody",
        "alerts",
        "(acknowledged_at IS NULL) = (acknowledged_by IS NULL)",
        schema="agentwhere",
    )


def downgrade() -> None:
    op.drop_column("alerts", "acknowledged_by", schema="agentwhere")
    op.drop_column("alerts", "acknowledged_at", schema="agentwhere")
    op.drop_index(
        "ix_alert_notices_unfinished",
        table_name="alert_notices",
        schema="agentwhere",
        postgresql_where=sa.text("state IN ('PENDING', 'SENDING')"),
    )
    op.drop_table("alert_notices", schema="agentwhere")
