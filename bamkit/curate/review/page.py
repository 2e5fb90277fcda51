"""The page of a review: one file, its style, script and data inside."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import Any

from bamkit.curate.review.items import Items
from bamkit.curate.review.pictures import Pictures, content_type


def page_of(data: dict[str, Any], nonce: str = "") -> str:
    """The page with its data inside; nothing in the data can end the script element it lies in.

    `nonce` is what the Content-Security-Policy of a served page allows style and script by.
    """
    here = Path(__file__).parent
    page = (here / "review.html").read_text(encoding="utf-8")
    for mark, name in (("@STYLE@", "review.css"), ("@SCRIPT@", "review.js")):
        page = page.replace(mark, (here / name).read_text(encoding="utf-8"))
    count = len(data["columns"]["mid"])
    told = {"@TITLE@": f"Review of {data['name']}", "@ABOUT@": f"{count:,} images to keep, drop or move by eye."}
    for mark, said in told.items():
        page = page.replace(mark, html.escape(said))
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return page.replace("@NONCE@", nonce).replace("@DATA@", text)


def static_page(items: Items, pictures: Pictures, reviewer: str = "") -> str:
    """The page as one file that needs no server: small pictures inside, decisions kept by the browser and saved by it.

    The same input gives the same file.
    """
    inside = {}
    for mid in items.places:
        data = pictures.small(mid)
        inside[mid] = f"data:{content_type(data)};base64,{base64.b64encode(data).decode()}"
    columns = items.page["columns"]
    shown = [inside.get(mid, "") for mid in columns["mid"]]
    return page_of({**items.page, "reviewer": reviewer, "served": False, "pictures": shown})
