"""Leave room in the pages of positions, so that a mark is written beside what it replaces.

Then no index has to hear of it; see docs/performance.md. Pages that are full already make room as marks move rows out
of them.
"""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TABLE = "agentwhere.positions"


def upgrade() -> None:
    op.execute(f"ALTER TABLE {TABLE} SET (fillfactor = 45)")


def downgrade() -> None:
    op.execute(f"ALTER TABLE {TABLE} RESET (fillfactor)")
