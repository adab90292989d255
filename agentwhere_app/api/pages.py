"""The dashboard's files, served as they are: no build step, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

FOLDER = Path(__file__).resolve().parents[1] / "dashboard"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


class Pages(StaticFiles):
    """The dashboard at ``/``; an address without a file is a view of it, which the page itself resolves.

    Files are revalidated by ETag at each load: after an update no page runs with parts of the old one. What lies in
    ``vendor`` has its version in its name and is kept for a year.
    """

    def __init__(self) -> None:
        super().__init__(directory=FOLDER, html=True, check_dir=False)

    async def check_config(self) -> None:
        """Take a missing folder for one without files: the API works without its page.

        Raises
        ------
        HTTPException
            404.
        """
        if not FOLDER.is_dir():
            raise HTTPException(404)
        await super().check_config()

    async def get_response(self, path: str, scope: MutableMapping[str, Any]) -> Response:
        """Return a file, or the page where the address names none."""
        scope["is_page"] = True
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404 or not _is_view(path):
                raise
            path = "index.html"
            response = await super().get_response(path, scope)
        kind = TYPES.get(Path(path).suffix)
        if kind is not None and response.status_code == 200:
            response.headers["Content-Type"] = kind
        is_fixed = path.startswith("vendor/")
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if is_fixed else "no-cache"
        )
        return response


def _is_view(path: str) -> bool:
    """Return whether an address may be one of the page's own: no file's name, nothing of the API."""
    return "." not in path.rpartition("/")[2] and not path.startswith("api/")
