"""Simulate research feeds: RSS 2.0 and Atom, with conditional requests.

A feed shows its latest 40 items. Their identifiers never change, so a reader that remembers them sees each item once.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from starlette.responses import Response
from starlette.routing import Route

from agentwhere_sim import posts
from agentwhere_sim.post_bank import ATOM_FEEDS, AUTHORS

if TYPE_CHECKING:
    from starlette.requests import Request

    from agentwhere_sim.posts import Post
    from agentwhere_sim.world import World

_ITEMS: Final = 40
_ATOM: Final = "http://www.w3.org/2005/Atom"


def routes(world: World) -> list[Route]:
    """Give the routes below ``/feeds``."""
    posts.prepare(world)

    async def feed(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in posts.authors(world, "feed"):
            return Response(f"no feed named {name}\n", 404, media_type="text/plain")
        items = list(islice(posts.newest_first(world, "feed", name), _ITEMS))
        changed = (items[0].at if items else world.genesis).replace(microsecond=0)
        body, media_type = _render(name, items, changed)
        headers = {
            "etag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
            "last-modified": format_datetime(changed.astimezone(UTC), usegmt=True),
            "cache-control": "max-age=60",
        }
        if _is_known(request, headers["etag"], changed):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type=media_type)

    return [Route("/{name}.xml", world.faults.guard("feeds", feed))]


def _is_known(request: Request, etag: str, changed: datetime) -> bool:
    """Apply RFC 9110, section 13: an entity tag wins over a date."""
    tags = request.headers.get("if-none-match")
    if tags is not None:
        known = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
        return etag in known or "*" in known
    try:
        since = parsedate_to_datetime(request.headers["if-modified-since"])
    except (KeyError, ValueError):
        return False
    return since.tzinfo is not None and changed <= since


def _render(name: str, items: list[Post], changed: datetime) -> tuple[bytes, str]:
    title = next((author.title for author in AUTHORS if author.name == name), name)
    if name in ATOM_FEEDS:
        return _atom(name, title, items, changed), "application/atom+xml"
    return _rss(name, title, items, changed), "application/rss+xml"


def _rss(name: str, title: str, items: list[Post], changed: datetime) -> bytes:
    root = ET.Element("rss", version="2.0")
    channel = ET.SubElement(root, "channel")
    _text(channel, "title", title)
    _text(channel, "link", _link(name))
    _text(channel, "description", f"Simulated research by {title}")
    _text(channel, "lastBuildDate", format_datetime(changed))
    for post in items:
        item = ET.SubElement(channel, "item")
        _text(item, "title", post.title)
        _text(item, "link", _link(name, post))
        _text(item, "guid", _tag(name, post), isPermaLink="false")
        _text(item, "pubDate", format_datetime(post.at))
        _text(item, "description", _html(post))
    return _bytes(root)


def _atom(name: str, title: str, items: list[Post], changed: datetime) -> bytes:
    root = ET.Element("feed", xmlns=_ATOM)
    _text(root, "title", title)
    _text(root, "id", f"tag:{name}.example,2025:feed")
    _text(root, "updated", changed.isoformat())
    ET.SubElement(root, "link", href=_link(name))
    _text(ET.SubElement(root, "author"), "name", title)
    for post in items:
        entry = ET.SubElement(root, "entry")
        _text(entry, "title", post.title)
        _text(entry, "id", _tag(name, post))
        _text(entry, "published", post.at.isoformat())
        _text(entry, "updated", post.at.isoformat())
        ET.SubElement(entry, "link", href=_link(name, post))
        _text(entry, "content", _html(post), type="html")
    return _bytes(root)


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text


def _html(post: Post) -> str:
    lines = (line for line in post.text.splitlines() if line.strip())
    return "".join(f"<p>{escape(line, quote=False)}</p>" for line in lines)


def _link(name: str, post: Post | None = None) -> str:
    return f"https://{name}.example/" + (f"notes/{post.id}" if post else "")


def _tag(name: str, post: Post) -> str:
    return f"tag:{name}.example,2025:note-{post.id}"


def _bytes(root: ET.Element) -> bytes:
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
