"""Who may use the HTTP API, and what they wrote through it."""

from __future__ import annotations

from sqlalchemy import ARRAY, Column, Index, Integer, LargeBinary, Table, Text
from sqlalchemy import text as sql

from agentwhere_store.tables.base import check, json, key, metadata, ref, text, time

api_keys = Table(
    "api_keys",
    metadata,
    key(),
    text("name"),
    text("public_part"),
    Column("digest", LargeBinary, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    time("created_at"),
    time("expires_at", nullable=True),
    time("revoked_at", nullable=True),
    # A revoked key keeps its row, because the audit log names it; its name may be used again.
    Index(
        "uq_api_keys_one_valid_per_name",
        "name",
        unique=True,
        postgresql_where=sql("revoked_at IS NULL"),
    ),
    Index("uq_api_keys_public_part", "public_part", unique=True),
    check("digest_is_sha256", "octet_length(digest) = 32"),
    check("scopes_known", "scopes <@ ARRAY['read', 'operate', 'trade']"),
    check("may_something", "cardinality(scopes) > 0"),
)

api_writes = Table(
    "api_writes",
    metadata,
    key(),
    ref("key_id", "api_keys", nullable=True),
    text("actor"),
    text("address"),
    text("method"),
    text("path"),
    json("body"),
    # NULL while the write is under way, and for ever if the process died in it.
    Column("status", Integer, nullable=True),
    time("at"),
    Index("ix_api_writes_at", "at"),
)
