"""What a picture's licence says about passing the picture on. No legal advice: a guard against doing it unawares.

An exported picture was cut or squashed to the training size: an adaptation, which a NoDerivatives licence does not let
anybody share. Where there is no licence, all rights are reserved. A wording is read only if every word of it is known.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

PUBLIC = "https://creativecommons.org/publicdomain"
TERMS = (
    (r"creative ?commons", "cc"),
    (r"attribution", "by"),
    (r"(?:no|without) ?deriv\w*(?: works?)?", "nd"),
    (r"non? ?commerc\w*(?: use)?(?: only)?", "nc"),
    (r"share ?alike", "sa"),
    (r"cc ?(?:0|zero)(?: 1\.0)?(?: universal)?", "cc0"),
    (r"public ?domain(?: mark| dedication)?(?: 1\.0)?|pdm|pd", "pd"),
)
"""The wordings of Creative Commons' terms, and the code of each."""
FILLING = {"cc", "licence", "license", "licensed", "international", "unported", "generic", "under", "the", "a"}
"""Words that change nothing."""
SOFTWARE = (
    (r"mit", "MIT"),
    (r"apache 2(?:\.0)?", "Apache-2.0"),
    (r"bsd 3 clause", "BSD-3-Clause"),
    (r"bsd 2 clause", "BSD-2-Clause"),
    (r"artistic 2(?:\.0)?", "Artistic-2.0"),
    (r"apache|bsd|artistic", ""),
)
GPL = re.compile(r"(a|l)?gpl ?v? ?(\d(?:\.\d)?)? ?(\+|or later)?")
"""Licences of software that Behance offers for pictures too, and their SPDX identifiers."""
COLUMNS = ("mid", "project_id", "project_url", "src", "license", "license_url", "conditions", "domain", "split")
ATTRIBUTION = "attribution.csv"
NAMES = {"nc": "non-commercial", "sa": "share alike"}


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
    """The licence's text, in the version that Behance offers today (4.0) where the database names none."""
    spdx: str = ""
    """The identifier in the SPDX licence list, or ""."""

    @property
    def asks(self) -> bool:
        """Whether it asks, or may ask, for something: true but for what is known to be free of conditions."""
        return not self.allowed or bool(self.conditions)

    @property
    def hub(self) -> str:
        """The identifier that Hugging Face uses, or ""."""
        return self.spdx.lower() if self.allowed and self.spdx.startswith("CC") else ""


@lru_cache(4096)
def licence(text: str | None) -> Licence:
    """Read a licence such as `cc by-nc`, `CC-BY-SA 3.0`, `cc0`, `gpl-2+`. What is not wholly known is not allowed."""
    shown = (text or "").strip()
    # Dashes of every kind, brackets, slashes and underscores only part the words.
    plain = " ".join(re.findall(r"[a-z]+|\d(?:\.\d)?|\+|[^\W_]+", unicodedata.normalize("NFKC", shown).lower()))
    if plain in ("", "none", "null", "no license", "no licence"):
        return Licence(shown, False, "no licence")
    if re.search(r"\ball rights|\bno use\b|copyright", plain) or plain == "arr":
        return Licence(shown, False, "all rights reserved")
    for pattern, spdx in SOFTWARE:
        if re.fullmatch(pattern, plain):
            return Licence(shown, True, "", ("attribution",), "", spdx)
    if match := GPL.fullmatch(plain):
        return _gpl(shown, *match.groups())
    for pattern, code in TERMS:
        plain = re.sub(rf"\b(?:{pattern})\b", code, plain)
    words = set(plain.split()) - FILLING
    if words == {"cc0"}:
        return Licence(shown, True, "", (), f"{PUBLIC}/zero/1.0/", "CC0-1.0")
    if words == {"pd"}:
        return Licence(shown, True, "", (), f"{PUBLIC}/mark/1.0/")
    versions = {word for word in words if re.fullmatch(r"\d(\.\d)?", word)}
    if "by" in words and words - versions <= {"by", "nc", "nd", "sa"} and len(versions) <= 1:
        return _creative_commons(shown, words, versions.pop() if versions else "4.0")
    return Licence(shown, False, "a licence that bamkit does not know")


def _gpl(shown: str, kind: str | None, version: str | None, later: str | None) -> Licence:
    number = version if not version or "." in version else f"{version}.0"
    spdx = f"{(kind or '').upper()}GPL-{number}-{'or-later' if later else 'only'}" if number else ""
    return Licence(shown, True, "", ("attribution", "share alike"), "", spdx)


def _creative_commons(shown: str, words: set[str], version: str) -> Licence:
    code = "-".join(["by", *(word for word in ("nc", "nd", "sa") if word in words)])
    number = version if "." in version else f"{version}.0"
    url = f"https://creativecommons.org/licenses/{code}/{number}/"
    conditions = ("attribution", *(NAMES[word] for word in ("nc", "sa") if word in words))
    refused = "no derivatives" if "nd" in words else ""
    return Licence(shown, not refused, refused, conditions, url, f"CC-{code.upper()}-{number}")


def project_url(project_id: int | None) -> str:
    """The Behance page that names a picture's author (the database does not); "" where the project is unknown."""
    return "" if project_id is None else f"https://www.behance.net/gallery/{project_id}"


def attribution_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """attribution.csv of rows with mid, project_id, src, license, domain and split: each picture's origin, its licence
    and what that asks for."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        read = licence(row["license"])
        origin = (row["mid"], row["project_id"], project_url(row["project_id"]), row["src"])
        writer.writerow([*origin, read.text, read.url, ", ".join(read.conditions), row["domain"], row["split"]])
    return text.getvalue()
