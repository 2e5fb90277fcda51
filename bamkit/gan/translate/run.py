"""`bamkit translate` as functions: find the run, its networks and the pictures."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bamkit.common.errors import BamkitError
from bamkit.common.lineage import require_current, stale_run
from bamkit.common.provenance import digest
from bamkit.common.shards import count_rows, read_about
from bamkit.common.workspace import Workspace, checked_name
from bamkit.gan.train import checkpoint
from bamkit.gan.train.data.domains import PARTS, list_split
from bamkit.gan.train.device.devices import pick_device
from bamkit.gan.train.methods.terms import METHODS
from bamkit.gan.train.networks import cyclegan, public_layout
from bamkit.gan.translate import sources
from bamkit.gan.translate.batch import Job, Maker, translate, translate_to_file
from bamkit.gan.translate.credentials import Credentials
from bamkit.gan.translate.generator import Translator
from bamkit.gan.translate.origin import names_a_picture, writable_suffixes
from bamkit.gan.translate.results import Result
from bamkit.gan.translate.settings import TranslateConfig
from bamkit.gan.translate.sources import Source

OUT_OF_RANGE = 4
"""Pictures whose shorter side is more than so many times what a run was trained on get a note."""


def translate_run(
    workspace: Workspace,
    run: str | None = None,
    *,
    inputs: Sequence[Path] = (),
    listed: Iterable[str] | None = None,
    direction: str | None = None,
    split: str | None = None,
    limit: int = 0,
    output: Path | None = None,
    config: TranslateConfig | None = None,
    force: bool = False,
) -> Result:
    """Translate with a run of the workspace (the newest by default), in both directions unless one is named.

    The pictures are those of `inputs` (files and folders) or `listed` (paths, one a line), else those of `split` (test
    by default) of the domains that the run was trained on, at most `limit` of each (0: all). The result goes to the
    folder `output`; by default to translations/RUN for the test split, to translations/RUN-<split or input> for others,
    with -strength-S behind it where the networks go less than the whole way. One picture in one direction may go to a
    file: an `output` with the suffix of a picture. Raises BamkitError for whatever a user can mend.
    """
    config = config or TranslateConfig()
    files = bool(inputs) or listed is not None
    if files and split is not None:
        raise BamkitError("--input and --split both say which pictures to translate", "give one of them")
    name = checked_name(run) if run else newest_run(workspace)
    if name not in workspace.run_names():
        raise BamkitError(f"there is no run {name!r} in {workspace.runs}", _runs_hint(workspace, name))
    generators = checkpoint.load_generators(workspace.run(name), config.checkpoint, "cpu")
    chosen = chosen_directions(generators.directions(), direction)
    notes, folders = list(generators.notes), list[str]()
    parts: dict[str, Iterable[Source]]
    if files:
        given, folders = _given(inputs, listed, limit)
        parts = dict.fromkeys(chosen, given)
        counts = dict.fromkeys(chosen, len(given))
        about = _about_files(given)
    else:
        require_current(workspace, stale_run(workspace, name))
        parts, counts, about = _splits(workspace, name, generators.names, list(chosen), split or "test", limit)
    size = config.shorter_side(generators.config.size, split=not files)
    jobs = []
    for direction, network in chosen.items():
        source, target = _domains(generators.names, direction)
        titles = ("picture" if files else source, target)
        pictures = partial(iter, parts[direction])
        job = Job(direction, titles, translator_of(network, config), pictures, counts[direction], size)
        job.own_size = files and config.size == "trained"
        jobs.append(job)
    built = about.pop("built", 0)
    if size and built and built != size:
        notes.append(
            f"pictures of {built} px were translated at {size} px, as the run was trained; --size own keeps theirs"
        )
    strength = jobs[0].translator.strength
    maker = Maker(
        name,
        generators.run_id,
        generators.checkpoint_name,
        generators.step,
        about,
        config.mark,
        _credentials(config),
        METHODS[generators.config.method].title,
        strength,
    )
    label = _label(inputs) if files else "" if split in (None, "test") else split
    dose = "" if strength in (None, 1) else f"strength-{strength:g}"
    folder = output or workspace.translations / "-".join(filter(None, (name, label, dose)))
    own_folder = output is None and not files
    result = _translate(jobs, maker, folder, config, force, own_folder)
    result.notes = notes + result.notes + _out_of_range(result, generators.config.size if not size else 0)
    result.folders = folders
    return result


def _translate(
    jobs: list[Job], maker: Maker, output: Path, config: TranslateConfig, force: bool, own_folder: bool = False
) -> Result:
    """To a folder, or to a file where `output` is called like a picture."""
    if output.is_dir() or not names_a_picture(output.suffix):
        return translate(jobs, maker, output, batch=_batch(config), force=force, own_folder=own_folder)
    writable = writable_suffixes()
    if output.suffix.lower() not in writable:
        raise BamkitError(
            f"{output}: a translation cannot be written as {output.suffix}",
            f"--output with {', '.join(writable[:-1])} or {writable[-1]}, or --output DIR for a folder",
        )
    return translate_to_file(jobs, maker, output, force=force)


def _given(inputs: Sequence[Path], listed: Iterable[str] | None, limit: int = 0) -> tuple[list[Source], list[str]]:
    """The pictures named by paths, and a line for each folder on what was taken."""
    given, folders = (sources.from_list(listed), []) if listed is not None else sources.from_paths(inputs)
    return given[: limit or None], folders


def _about_files(given: list[Source]) -> dict[str, Any]:
    """What the table says of pictures that are no split: which they were tells a translation from another."""
    return {"split": "files", "inputs": digest([source.name for source in given])}


def _out_of_range(result: Result, trained: int) -> list[str]:
    """A note if pictures were much larger than what the network was trained on (`trained` px; 0: resized to that)."""
    rows = (row for direction in result.directions for row in direction.rows)
    sides = {row["source"]: min(row["width"], row["height"]) for row in rows}
    large = [side for side in sides.values() if trained and side > OUT_OF_RANGE * trained]
    if not large:
        return []
    subject = "the picture is" if len(sides) == 1 else f"{len(large):,} of {len(sides):,} pictures are"
    return [
        f"{subject} out of the network's range: up to {max(large):,} px at the shorter side, and it was trained on "
        f"{trained} px. At that size it changes light, colour and fine texture only; --size trained shows it the whole "
        "picture as in training"
    ]


def translate_weights(
    weights: Path,
    inputs: Sequence[Path],
    output: Path,
    *,
    listed: Iterable[str] | None = None,
    direction: str = "a-to-b",
    config: TranslateConfig | None = None,
    force: bool = False,
) -> Result:
    """Translate files with a generator of the public implementation (`latest_net_G_A.pth`, .safetensors).

    `direction` names the folder and the column of the results; the file knows no domains.
    """
    config = config or TranslateConfig()
    network = public_layout.read_generator(weights)
    given, folders = _given(inputs, listed)
    translator = translator_of(network, config)
    _, _, second = checked_name(direction).partition("-to-")
    size = config.shorter_side(0, split=False)
    job = Job(direction, ("picture", second or "result"), translator, partial(iter, given), len(given), size)
    about = _about_files(given)
    maker = Maker(
        weights.name, translator.id, weights.stem, 0, about, config.mark, _credentials(config),
        METHODS[public_layout.config_of(network).method].title, translator.strength,
    )  # fmt: skip
    result = _translate([job], maker, output, config, force)
    result.folders = folders
    return result


def translator_of(network: cyclegan.Generator, config: TranslateConfig) -> Translator:
    """The network as a function on pictures."""
    return Translator(network, pick_device(config.device), config.tile, int(config.memory * 1e9), config.strength)


def _credentials(config: TranslateConfig) -> Credentials | None:
    """What files are signed with, tried before any work."""
    return Credentials(Path(config.c2pa)) if config.c2pa else None


def _batch(config: TranslateConfig) -> int:
    """Pictures in one pass, decided."""
    return config.batch or (1 if pick_device(config.device).type == "cpu" else 8)


def newest_run(workspace: Workspace) -> str:
    """The run that was worked on last. Raises BamkitError if there is none."""
    names = workspace.run_names()
    if not names:
        raise BamkitError(f"there is no run in {workspace.runs}", "bamkit train")

    def changed(name: str) -> tuple[float, str]:
        folder = workspace.run(name)
        return max(path.stat().st_mtime for path in [folder / "run.json", *folder.glob("checkpoints/*.pt")]), name

    return max(names, key=changed)


def _runs_hint(workspace: Workspace, name: str) -> str:
    known = workspace.run_names()
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"there are {', '.join(known)}" if known else "bamkit train   # makes one"


def chosen_directions(known: dict[str, Any], wanted: str | None) -> dict[str, Any]:
    """The directions meant: all for None; `a-to-b` and `b-to-a` stand for the two. Raises BamkitError."""
    if wanted is None:
        return known
    forward, backward = known
    short = {"a-to-b": forward, "atob": forward, "b-to-a": backward, "btoa": backward}
    chosen = short.get(wanted.lower(), wanted)
    if chosen not in known:
        raise BamkitError(f"this run has no direction {wanted!r}", f"--direction {forward} or {backward}")
    return {chosen: known[chosen]}


def _domains(names: tuple[str, str], direction: str) -> tuple[str, str]:
    return names if direction == f"{names[0]}-to-{names[1]}" else (names[1], names[0])


def _label(inputs: Sequence[Path]) -> str:
    """What the folder for given pictures is called after."""
    stem = inputs[0].resolve().stem if inputs else "list"
    safe = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-" for letter in stem)
    return safe.strip(".-")[:60] or "pictures"


def _splits(
    workspace: Workspace, run: str, names: tuple[str, str], directions: list[str], split: str, limit: int
) -> tuple[dict[str, Iterable[Source]], dict[str, int], dict[str, Any]]:
    """Sources, counts and provenance for one split of the run's domains."""
    if split not in PARTS:
        raise BamkitError(f"there is no split {split!r}", f"the splits are {', '.join(PARTS)}")
    about = checkpoint.read_run(workspace.run(run))
    trained = {name: about.get(side) or {} for name, side in zip(names, ("from", "to"), strict=True)}
    parts: dict[str, Iterable[Source]] = {}
    counts, ids, built = {}, {}, 0
    for direction in directions:
        source, _ = _domains(names, direction)
        shards = workspace.shards(source, split)
        command = f"bamkit translate {run} --input PICTURES --direction {direction}"
        if trained[source].get("kind") == "folder":
            folder = Path(trained[source]["where"])
            pictures = sources.from_listing(list_split(folder, split), sources.Targets())[: limit or None]
            parts[direction], counts[direction] = [replace(each, split=split) for each in pictures], len(pictures)
            if not pictures:
                raise BamkitError(
                    f"the run {run} was trained on the folder {folder}, which holds no {split} pictures",
                    f"put some that it was not trained on into {folder / split}, then: bamkit translate {run}; "
                    f"or: {command}",
                )
            continue
        if not shards:
            raise BamkitError(
                f"the run {run} has no {split} pictures of {source} in {workspace.splits}",
                f"{command}, or bamkit fetch",
            )
        split_about = read_about(shards[0])
        ids[source] = split_about.get("split_id")
        built = (split_about.get("build") or {}).get("size", 0)
        rows = count_rows(shards)
        counts[direction] = min(rows, limit) if limit else rows
        parts[direction] = sources.from_split(shards, source, limit)
    return parts, counts, {"split": split, "split_ids": ids, "limit": limit, "built": built}
