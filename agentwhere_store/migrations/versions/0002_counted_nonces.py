"""Let a counted nonce be used again.

Where a venue counts nonces, one whose request never arrived is the next one again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint(
        "uq_submissions_venue_signer_address_nonce", "submissions", schema="agentwhere"
    )
    op.create_index(
        "uq_submissions_rising_nonce",
        "submissions",
        ["venue", "signer_address", "nonce"],
        unique=True,
        schema="agentwhere",
        postgresql_where=sa.text("venue NOT IN ('LIGHTER', 'OSTIUM')"),
    )


def downgrade() -> None:
    op.drop_index("uq_submissions_rising_nonce", "submissions", schema="agentwhere")
    op.create_unique_constraint(
        "uq_submissions_venue_signer_address_nonce",
        "submissions",
        ["venue", "signer_address", "nonce"],
        schema="agentwhere",
    )
