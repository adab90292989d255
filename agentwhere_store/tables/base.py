"""Conventions that all tables share: names of constraints, column types, keys."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, MetaData, Numeric, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem

SCHEMA = "agentwhere"

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    },
)


def key() -> Column[Any]:
    """Return the primary key: a UUIDv7 that is made in Python."""
    return Column("id", Uuid, primary_key=True)


def ref(name: str, table: str, *, nullable: bool = False, unique: bool = False) -> Column[Any]:
    """Return a foreign key to ``table``."""
    return Column(
        name, Uuid, ForeignKey(f"{SCHEMA}.{table}.id"), nullable=nullable, unique=unique or None
    )


def time(name: str, *, nullable: bool = False) -> Column[Any]:
    """Return a column that holds a moment in UTC."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def number(name: str, *, nullable: bool = False, default: str | None = None) -> Column[Any]:
    """Return a column for money, prices, sizes or ratios: exact, unbounded NUMERIC."""
    return Column(name, Numeric, nullable=nullable, server_default=default)


def text(name: str, *, nullable: bool = False, default: str | None = None) -> Column[Any]:
    """Return a column for words."""
    return Column(name, Text, nullable=nullable, server_default=default)


def json(name: str, default: str = "{}") -> Column[Any]:
    """Return a column that holds a JSON document and never NULL."""
    return Column(name, JSONB, nullable=False, server_default=default)


def one_of(
    column: str, words: type[StrEnum], *, nullable: bool = False, default: str | None = None
) -> tuple[SchemaItem, SchemaItem]:
    """Return a TEXT column, and a CHECK that it holds one of ``words``."""
    allowed = ", ".join(f"'{word.value}'" for word in words)
    return (
        text(column, nullable=nullable, default=default),
        CheckConstraint(f"{column} IN ({allowed})", name=f"{column}_known"),
    )


def check(name: str, rule: str) -> CheckConstraint:
    """Return an invariant of one row."""
    return CheckConstraint(rule, name=name)
