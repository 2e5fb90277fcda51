"""What a picture's licence says about passing the picture on. No legal advice: a guard against doing it unawares.

An exported picture was cut or squashed to the training size: an adaptation, which a NoDerivatives licence does not let
anybody share. Where there is no licence, all rights are reserved.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PUBLIC = "https://creativecommons.org/publicdomain"
FREE_SOFTWARE = re.compile(r"^(a?gpl|lgpl|mit|bsd|apache|artistic)\b")
DATE = re.compile(r"\b\d(\.\d)?\b")


@dataclass(frozen=True)
class Licence:
    """One licence as the database writes it, and what follows from it."""

    text: str
    """As in the database; "" where there is none."""
    allowed: bool
    """Whether an adapted picture may be passed on (under the licence's conditions)."""
    reason: str
    """Why not; "" if it may."""
    conditions: tuple[str, ...] = ()
    """Of `attribution`, `non-commercial`, `share alike`."""
    url: str = ""
    """The licence's text, in the version that Behance offers today (4.0): the database names no version."""
    hub: str = ""
    """The identifier that Hugging Face uses, or ""."""


def licence(text: str | None) -> Licence:
    """Read a licence such as `cc by-nc`, `CC-BY-SA 3.0`, `cc0`, `gpl-2+`. Unknown ones are not allowed."""
    plain = re.sub(r"[\s_]+", " ", (text or "").strip().lower())
    shown = (text or "").strip()
    if not plain or plain in ("none", "null", "no license", "no licence"):
        return Licence(shown, False, "no licence")
    if "all rights" in plain or "no use" in plain or "copyright" in plain or plain == "arr":
        return Licence(shown, False, "all rights reserved")
    if plain in ("cc0", "cc 0", "cc-0", "cc zero") or plain.startswith(("cc0 ", "cc-zero")):
        return Licence(shown, True, "", (), f"{PUBLIC}/zero/1.0/", "cc0-1.0")
    if plain in ("public domain", "pd", "pdm", "publicdomain"):
        return Licence(shown, True, "", (), f"{PUBLIC}/mark/1.0/")
    if FREE_SOFTWARE.match(plain):
        return Licence(shown, True, "", ("attribution", "share alike") if "gpl" in plain else ("attribution",))
    parts = set(re.split(r"[\s/.-]+", plain))
    if "by" in parts and plain.startswith(("cc", "by", "creative commons", "attribution")):
        return _creative_commons(shown, parts, DATE.search(plain))
    return Licence(shown, False, "a licence that bamkit does not know")


def _creative_commons(shown: str, parts: set[str], version: re.Match[str] | None) -> Licence:
    code = "-".join(["by", *(part for part in ("nc", "nd", "sa") if part in parts)])
    number = version[0] if version else "4.0"
    number = number if "." in number else f"{number}.0"
    url = f"https://creativecommons.org/licenses/{code}/{number}/"
    names = {"nc": "non-commercial", "sa": "share alike"}
    conditions = ("attribution", *(names[part] for part in ("nc", "sa") if part in parts))
    if "nd" in parts:
        return Licence(shown, False, "no derivatives", conditions, url)
    return Licence(shown, True, "", conditions, url, f"cc-{code}-{number}")


def project_url(project_id: int | None) -> str:
    """The Behance page that names a picture's author (the database does not); "" where the project is unknown."""
    return "" if project_id is None else f"https://www.behance.net/gallery/{project_id}"
