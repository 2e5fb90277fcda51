"""The pages of the site that are not written by hand: README, change log, and what the code says. A hook of MkDocs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from bamkit.common import contract

ROOT = Path(__file__).parents[1]
FROM_ROOT = {"README.md": "index.md", "CHANGELOG.md": "changes.md", "CONTRIBUTING.md": "contributing.md"}
"""Pages that lie beside docs/, and what they are called in the site."""

COMMAND = re.compile(r"`bamkit ([a-z]+(?: [a-z]+)?)`")
OUTSIDE = re.compile(
    r"""<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=["']?(?:https?:)?//[^>]*>"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preconnect|preload|icon))[^>]*\bhref=["']?(?:https?:)?//[^>]*>"""
    r"""|<pre class="?mermaid[^>]*>"""
)
EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\n).+)*", re.MULTILINE)

PYTHON = """# Python reference

What `bamkit.__all__` names. [From Python](python.md) says how the parts fit together.

::: bamkit.api.workspace.Workspace
    options:
      inherited_members:
        - sample
        - status
        - info
        - sql
        - select
        - explain
        - verify
        - diff
        - review
        - fetch
        - check
        - balance
        - report
        - export
        - export_tables

::: bamkit.api.selection.Selection

::: bamkit.api.run.Run

::: bamkit.api.database.select

::: bamkit.api.database.sql

::: bamkit.sample.server.SampleServer
    options: {members: [url, start, stop]}

::: bamkit.common.errors.BamkitError

::: bamkit.common.errors.StaleWarning

## Networks

::: bamkit.gan.train.networks.cyclegan.ResnetGenerator
    options: {heading_level: 3, members: false}

::: bamkit.gan.train.networks.cyclegan.UnetGenerator
    options: {heading_level: 3, members: false}

::: bamkit.gan.train.networks.cyclegan.PatchDiscriminator
    options: {heading_level: 3, members: false}

::: bamkit.gan.train.networks.public_layout.read_generator
    options: {heading_level: 3}
"""
STATISTICS = """# Statistics

Every estimate that bamkit prints has n, an interval and, where there is one, a floor. This page is made from the code:
each function with its formula, its source and what it assumes. `tests/test_coverage.py` shows by simulation how often
each interval covers.

"""
METRICS = """# Metrics and losses

Functions of arrays, each with its equation and source; `bamkit.metrics` has those of pictures and feature vectors for
your own use. Each is tested against an independent implementation.

"""
FILES = """# Files and their columns

All that commands hand to one another are Parquet files with these columns, made from `bamkit/common/contract.py`. The
provenance lies as JSON under the key `bamkit` of each file's metadata. An attribute is one of {attributes}; a label is
one of `positive`, `unsure`, `negative`.

"""
JSON = """# JSON

What `--json` prints, as [JSON schemas](https://json-schema.org). A key may be added from one version to the next; none
is taken away or changes its type.
"""


class Docstrings(griffe.Extension):
    """Docstrings as Markdown: examples as code (`>>>` would be a quotation), commands as links to their options."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Fence every block that begins with `>>>`, up to the next empty line; link commands that are named."""
        if obj.docstring:
            text = EXAMPLE.sub(r"\n```pycon\n\g<0>\n```\n", obj.docstring.value)
            obj.docstring.value = COMMAND.sub(_linked, text)


def _linked(found: re.Match[str]) -> str:
    return f"[{found[0]}](cli.md#bamkit-{found[1].replace(' ', '-')})"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    pages = {name: (ROOT / source).read_text(encoding="utf-8") for source, name in FROM_ROOT.items()}
    pages = {name: text.replace("](docs/", "](") for name, text in pages.items()}
    pages |= {
        "reference-python.md": PYTHON,
        "reference-files.md": _files(),
        "reference-json.md": _json(),
        "statistics.md": STATISTICS + _of("bamkit/common/statistics"),
        "metrics.md": METRICS + _of("bamkit/gan/evaluate/metrics", "bamkit/gan/train/losses.py"),
    }
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to pages beside docs/ lead to their place in the site; those to other files become their names."""
    for source, name in FROM_ROOT.items():
        markdown = re.sub(rf"\]\((?:\.\./)?{re.escape(source)}", f"]({name}", markdown)
    return re.sub(r"\[([^\]]+)\]\((?:\.\./(?!\.)[^)]*|schemas|LICENSE)\)", r"\1", markdown)


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Refuse a page that would load something from another host; the theme does so for every Mermaid diagram."""
    if outside := OUTSIDE.search(output):
        raise PluginError(f"{page.file.src_uri} loads something from outside: {outside[0][:120]}")
    return output


def _of(*places: str) -> str:
    """The public functions of modules, a heading a module."""
    parts = []
    for place in places:
        path = ROOT / place
        for module in sorted(path.glob("[!_]*.py")) if path.is_dir() else [path]:
            name = ".".join(module.relative_to(ROOT).with_suffix("").parts)
            options = 'show_root_heading: false, show_root_toc_entry: false, filters: ["!^_"], heading_level: 3'
            title = module.stem.replace("_", " ").capitalize()
            parts.append(f"## {title}\n\n::: {name}\n    options: {{{options}}}\n")
    return "\n".join(parts)


def _files() -> str:
    """The schemas of the data contracts as tables."""
    attributes = ", ".join(f"`{name}`" for name in contract.ATTRIBUTES)
    schemas = {
        "selections/NAME.parquet": contract.selection_schema,
        "splits/NAME/train-00000-of-00001.parquet": contract.split_schema,
        "missing/NAME.parquet": contract.missing_schema,
        "translations/NAME/translations.parquet": contract.translation_schema,
    }
    parts = [FILES.format(attributes=attributes)]
    for title, schema in schemas.items():
        rows = [f"| `{field.name}` | `{field.type}` |" for field in schema() if not _repeated(field.name)]
        about = (schema.__doc__ or "").strip()
        text = re.sub(r"\n +", "\n", about)
        parts.append(f"## `{title}`\n\n{text}\n\n| column | type |\n|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _repeated(name: str) -> bool:
    """Whether a column is that of a further attribute: one stands for all twenty."""
    return any(name in (other, f"{other}_score") for other in contract.ATTRIBUTES[1:])


def _json() -> str:
    """The schema of every command's JSON."""
    parts = [JSON]
    for path in sorted((ROOT / "docs" / "schemas").glob("*.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        shown = {key: value for key, value in schema.items() if key != "$schema"}
        text = json.dumps(shown, indent=1, ensure_ascii=False)
        parts.append(f"## {path.stem}\n\n{schema['title']}.\n\n```json\n{text}\n```\n")
    return "\n".join(parts)
