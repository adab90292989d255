"""Habits that all models share."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Exact = Annotated[Decimal, Field(description="A decimal number as text, exact to the last digit.")]


class Told(BaseModel):
    """Something that is answered."""

    model_config = ConfigDict(populate_by_name=True)


class Asked(BaseModel):
    """Something that is asked for; a field that nobody knows is an error, not ignored."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, str_strip_whitespace=True)
