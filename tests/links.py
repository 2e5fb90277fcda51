"""Links of written pages: whether each leads to a file that is there, and each anchor to an element."""

import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote


def broken_links(root: Path) -> tuple[list[str], int]:
    """What leads nowhere in the pages under `root`, and how many links were followed. `data:` and # count as well."""
    broken, followed = [], 0
    for page in sorted(root.rglob("*.html")):
        text = re.sub(r"<(script|style)\b.*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        ids = set(re.findall(r'\sid="([^"]+)"', text))
        for target in re.findall(r'\s(?:href|src)="([^"]*)"', text):
            path, _, anchor = unescape(target).partition("#")
            if target.startswith("data:"):
                continue
            followed += 1
            there = page.parent / unquote(path) if path else page
            if re.match(r"[a-z]+:|//", path) or not there.exists() or (not path and anchor not in ids):
                broken.append(f"{page.relative_to(root)}: {target[:80]}")
    return broken, followed
