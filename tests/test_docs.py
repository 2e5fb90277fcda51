"""The front door: links lead somewhere, pages are reached, commands shown have their options."""

import re
import shlex
from pathlib import Path

import click
import pytest

from bamkit.cli import root

HERE = Path(__file__).parents[1]
PAGES = sorted([HERE / "README.md", *HERE.glob("docs/*.md")])


def context_of(command):
    """With the root's settings: click remembers the help option of the first context that asks a command for it."""
    return click.Context(command, **root.context_settings)


def links(page):
    return [target for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")) if "://" not in target]


def shown(page):
    """The bamkit commands in a page's code blocks, continuation lines joined, comments cut off."""
    for block in re.findall(r"```[a-z]*\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            found = re.match(r"\s*(?:\$ )?(?:[A-Z_]+=\S+ )*bamkit (?!\S*:)(.*)", line)
            if found and not line.strip().startswith("bamkit:"):
                yield re.split(r"\s{2,}[(#]|\s#\s|\s\|\s", found[1])[0].strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in links(page):
        assert (page.parent / target).exists(), target


def anchors(page):
    """What the headings of a page are called in links, as Python-Markdown and forges have it."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"[^\w\s-]", "", re.sub(r"\]\([^)]*\)", "", title)).strip().lower()
        yield re.sub(r"[-\s]+", "-", plain)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_headings_that_are_there(page):
    for target, anchor in re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", page.read_text(encoding="utf-8")):
        assert anchor in set(anchors(page.parent / target if target else page)), f"{target}#{anchor}"


def test_every_page_is_reached_from_the_readme():
    reached = {Path(target).name for target in links(HERE / "README.md") if target.endswith(".md")}
    assert {page.name for page in HERE.glob("docs/*.md")} <= reached


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "cli.md"], ids=lambda page: page.name)
def test_commands_shown_have_their_options(page):
    for line in shown(page):
        context, words = context_of(root), shlex.split(line)
        _, words, _ = root.make_parser(context).parse_args(words)
        command = root
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            command = command.get_command(context, words.pop(0))
            assert command is not None, line
        command.make_parser(context_of(command)).parse_args(words)


def test_commands_are_found_in_the_pages():
    assert sum(len(list(shown(page))) for page in PAGES if page.name != "cli.md") > 60


def test_commands_in_messages_have_their_options():
    """A hint that cannot be typed is worse than none."""
    names = "|".join(root.list_commands(context_of(root)))
    found = 0
    for path in sorted((HERE / "bamkit").rglob("*.py")):
        for line in re.finditer(rf"bamkit ({names})\b([^\"`;,:()\n]*)", path.read_text(encoding="utf-8")):
            command = root.get_command(context_of(root), line[1])
            inner = command.commands.values() if isinstance(command, click.Group) else [command]
            known = {name for one in inner for option in one.params for name in option.opts + option.secondary_opts}
            typed = re.split(r" #|\\n", line[2])[0]
            options = set(re.findall(r"(?<=\s)--[a-z][a-z-]*", typed)) - {"--help"}
            assert options <= known, f"{path.name}: {line[0]}"
            found += bool(options)
    assert found > 40
