"""Parameters that many lists share."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Query

Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]
Before = Annotated[UUID | None, Query(description="Continue after this item: `next` of a page.")]
AgentFilter = Annotated[UUID | None, Query(description="Of this agent only.")]
DeploymentFilter = Annotated[UUID | None, Query(description="Of this deployment only.")]
TokenFilter = Annotated[
    str | None, Query(min_length=1, max_length=40, description="In this token only.")
]
ThingId = Annotated[UUID, Path(description="Its id.")]
