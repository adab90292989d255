"""``keys create|list|revoke``: who may use the HTTP API."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from agentwhere_app.output import Json, command, note, print_json, print_table
from agentwhere_core.domain.enums import Scope

keys = typer.Typer()


@keys.command("create")
@command
def create(
    name: Annotated[str, typer.Argument(help="What or whom the key is for.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="read, operate or trade; repeat it. Every scope includes reading."),
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires.")] = None,
    as_json: Json = False,
) -> None:
    """Create an API key and print it, once: only its digest is kept."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.access import create_key

    with open_system() as system:
        now = system.clock()
        expires_at = None if days is None else now + timedelta(days=days)
        made = create_key(system, now, name, scope or [Scope.READ], expires_at=expires_at)
    scopes = sorted(made.key.scopes)
    if as_json:
        print_json({"name": name, "scopes": scopes, "expires_at": expires_at, "key": made.token})
        return
    note(f"created {name!r} for {', '.join(scopes)}; keep it, it cannot be shown again:")
    print(made.token)


@keys.command("list")
@command
def list_all(as_json: Json = False) -> None:
    """List keys by name and scopes; the keys themselves are not known."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.access import list_keys

    with open_system() as system:
        found, now = list_keys(system), system.clock()
    rows = [
        {
            "name": key.name,
            "begins with": f"aw_{key.public_part}_",
            "scopes": ", ".join(sorted(key.scopes)),
            "created": key.created_at,
            "expires": key.expires_at,
            "revoked": key.revoked_at,
            "valid": key.is_valid(now),
        }
        for key in found
    ]
    if as_json:
        print_json(rows)
        return
    told = [
        {name: f"{v:%Y-%m-%d %H:%M}" if hasattr(v, "date") else v for name, v in row.items()}
        for row in rows
    ]
    print_table("API keys", told, empty="No API key: the API answers this machine only.")


@keys.command("revoke")
@command
def revoke(
    name: Annotated[str, typer.Argument(help="Name of the key.")], as_json: Json = False
) -> None:
    """Revoke a key; it opens nothing within seconds."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.access import revoke_key

    with open_system() as system:
        revoke_key(system, system.clock(), name)
    if as_json:
        print_json({"revoked": name})
    else:
        print(f"revoked {name}")
