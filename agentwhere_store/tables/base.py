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
    """Primary key: a UUIDv7 that is made in Python."""
    return Column("id", Uuid, primary_key=True)


def ref(name: str, table: str, *, nullable: bool = False, unique: bool = False) -> Column[Any]:
    """Foreign key to ``table``."""
    return Column(
        name, Uuid, ForeignKey(f"{SCHEMA}.{table}.id"), nullable=nullable, unique=unique or None
    )


def time(name: str, *, nullable: bool = False) -> Column[Any]:
    """A moment in UTC."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def number(name: str, *, nullable: bool = False, default: str | None = None) -> Column[Any]:
    """Money, price, size or ratio: exact, unbounded NUMERIC."""
    return Column(name, Numeric, nullable=nullable, server_default=default)


def text(name: str, *, nullable: bool = False, default: str | None = None) -> Column[Any]:
    """Words."""
    return Column(name, Text, nullable=nullable, server_default=default)


def json(name: str, default: str = "{}") -> Column[Any]:
    """A JSON document; never NULL."""
    return Column(name, JSONB, nullable=False, server_default=default)


def one_of(
    column: str, words: type[StrEnum], *, nullable: bool = False, default: str | None = None
) -> tuple[SchemaItem, SchemaItem]:
    """A TEXT column with a CHECK that it holds one of ``words``."""
    allowed = ", ".join(f"'{word.value}'" for word in words)
    return (
        text(column, nullable=nullable, default=default),
        CheckConstraint(f"{column} IN ({allowed})", name=f"{column}_known"),
    )


def check(name: str, rule: str) -> CheckConstraint:
    """An invariant of one row."""
    return CheckConstraint(rule, name=name)
