"""A review that runs beside a notebook."""

from __future__ import annotations

import threading
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bamkit.curate.review import run

if TYPE_CHECKING:
    from types import TracebackType

    from bamkit.common.workspace import Workspace
    from bamkit.curate.review.server import ReviewServer


class Review:
    """A page to review on: what `ws.review` gives. Its server ends with `stop()`, a `with`, or the program."""

    def __init__(self, url: str, decisions: Path | None, server: ReviewServer | None = None) -> None:
        self.url = url
        """Its address; whoever has it on this machine can decide."""
        self.decisions = decisions
        """Where every decision is written at once; None for a file, whose page saves them where you want them."""
        self._server = server
        if server:
            threading.Thread(target=server.serve_forever, name="bamkit review", daemon=True).start()

    def stop(self) -> None:
        """End the server, if there is one. What was decided is on the disk."""
        server, self._server = self._server, None
        if server:
            server.shutdown()
            server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Review({self.url!r})"

    def _repr_html_(self) -> str:
        kept = f"; decisions in {escape(str(self.decisions))}" if self.decisions else ""
        return f'<p>review: <a href="{escape(self.url)}" target="_blank">{escape(self.url)}</a>{kept}</p>'


def begun(
    workspace: Workspace, name: str | None, reviewer: str, decisions: Path | None, port: int, static: bool
) -> Review:
    """A review that is served, or with `static` one that is written as a file."""
    if static:
        path, _ = run.write_static(workspace, name, reviewer)
        return Review(path.resolve().as_uri(), None)
    server = run.serve(workspace, name, reviewer, decisions, port)
    return Review(server.url, server.log.path, server)
