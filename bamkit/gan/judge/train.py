"""`bamkit judge train`: pictures and labels in, a judge and its card out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from bamkit.common.contract import ATTRIBUTES, SPLITS, short
from bamkit.common.errors import BamkitError
from bamkit.common.lineage import require_current, stale_domains
from bamkit.common.provenance import sha256_file
from bamkit.common.shards import ShardReader, read_table, write_table
from bamkit.common.statistics import clusters_of
from bamkit.common.terminal.progress import Progress
from bamkit.common.workspace import Workspace, is_judges
from bamkit.gan.domains import IDENTITY, FetchedDomain
from bamkit.gan.judge import fit
from bamkit.gan.judge.backbones import HOG, PLAIN, Backbone, pretrained
from bamkit.gan.judge.card import card_of, write_card_page
from bamkit.gan.judge.hog import SIDE
from bamkit.gan.judge.identity import PARTS, parts, shared
from bamkit.gan.judge.model import CARD, FORM, JUDGE, KNOWN, Judge, Network, Shape, load_judge, resized, save_judge
from bamkit.gan.judge.settings import JudgeConfig
from bamkit.gan.train.device.devices import pick_device

FEWEST = 8
"""An attribute is judged if it has at least so many positive and so many negative pictures, some in every part."""


def train_judge(
    workspace: Workspace,
    splits: Sequence[str] = (),
    config: JudgeConfig | None = None,
    folder: Path | None = None,
    force: bool = False,
) -> Judge:
    """Train a judge on all pictures of `splits` (default: `judge` and `judge-...`) and write it to `folder`.

    Beside it, in FORM, goes a judge of form alone, fitted to the same pictures, unless it is one itself.

    Left out are all images that also occur in another split or selection of the workspace, near-duplicates of theirs,
    and other images of their projects. Labels are BAM's; unsure and missing ones are masked. Raises BamkitError if too
    little is left, or if there is a judge already and `force` is not given.
    """
    config = config or JudgeConfig()
    folder = folder or workspace.root / JUDGE
    if (folder / CARD).exists() and not force:
        raise BamkitError(f"there is a judge at {folder} already", "give --force to replace it, or --output DIR")
    names = _chosen(workspace, splits)
    require_current(workspace, stale_domains(workspace, names))
    shards, excluded = _usable(workspace, names)
    rows, where = shards
    part = parts(rows, config.seed)
    attributes, labels, left_out = _labels(rows, part)
    if not attributes:
        raise BamkitError(
            f"{rows.num_rows} usable pictures of {', '.join(names)} are too few to train a judge: no attribute has "
            f"{FEWEST} positive and {FEWEST} negative ones",
            recipe(workspace),
        )
    material = _Material(rows, where, part, attributes, labels, excluded, left_out)
    splits_used = {name: FetchedDomain(name, workspace).split_id for name in names}
    form = None
    if config.backbone != HOG:
        # First, and without the old card: where the judge's card lies, all of it is there.
        (folder / CARD).unlink(missing_ok=True)
        alone = replace(config, weights=None, finetune=False, backbone=HOG, size=SIDE)
        form = _fitted(material, splits_used, alone, folder / FORM)
    judge = _fitted(material, splits_used, config, folder)
    write_card_page(judge, folder, form)
    return judge


@dataclass(frozen=True)
class _Material:
    """What judges are fitted to."""

    rows: pa.Table
    where: Where
    part: np.ndarray
    """(n,) index into PARTS."""
    attributes: tuple[str, ...]
    labels: np.ndarray
    """(n, k) 0, 1 and nan."""
    excluded: dict[str, int]
    left_out: dict[str, str]


def _fitted(material: _Material, splits: dict[str, str | None], config: JudgeConfig, folder: Path) -> Judge:
    """Fit one judge, write it to `folder` with its card, and load it."""
    device, part, labels = pick_device(config.device), material.part, material.labels
    torch.manual_seed(config.seed)
    network = _network(config, material.attributes).to(device)
    chosen, epoch, frozen = torch.from_numpy(labels), None, config.weights is not None or config.backbone == HOG
    if frozen:
        features = _features(network, material.where, config.side, device)
        fit.fit_head(network, features, chosen, part)
        with torch.inference_mode():
            logits = network.head(features.to(device)).cpu().numpy()
    if not frozen or config.finetune:
        pictures = _pictures(material.where, config.side)
        epoch = fit.fit_network(network, pictures, chosen, part, config, device)
        logits = fit.logits_of(network, pictures, np.arange(len(part)), device)
    fit.calibrate(network, logits[part == 1], labels[part == 1])
    about = {
        "splits": splits,
        "excluded": material.excluded,
        "without_labels": material.left_out,
        "epoch": epoch,
        "config": {k: v for k, v in asdict(config).items() if k not in ("weights", "device")},
    }
    known = material.rows.select(list(IDENTITY)).append_column("part", pa.array([PARTS[p] for p in part]))
    (folder / CARD).unlink(missing_ok=True)  # from here to the end the old judge's files do not belong together
    write_table(known, folder / KNOWN, {"kind": "judge", "splits": splits})
    about["known_sha256"] = sha256_file(folder / KNOWN)
    training, sha256 = "from scratch", None
    if config.backbone == HOG:
        training = "directions of edges alone, linear head"
    elif config.weights is not None:
        training = "pretrained weights, fine-tuned" if config.finetune else "pretrained weights, linear head"
        sha256 = sha256_file(config.weights)
    projects = clusters_of(material.rows["project_id"].to_pylist())
    about["weights"] = {"training": training, "sha256": sha256}
    save_judge(network, card_of(network, logits, labels, part, projects, about), folder)
    return load_judge(folder, device)


def _chosen(workspace: Workspace, splits: Sequence[str]) -> list[str]:
    known = workspace.split_names()
    names = list(dict.fromkeys(splits)) or [name for name in known if is_judges(name)]
    absent = [name for name in names if name not in known]
    if absent:
        here = ", ".join(known) or "none"
        raise BamkitError(f"there is no split {absent[0]} here ({here})", f"bamkit fetch {absent[0]}")
    if names:
        return names
    selected = [name for name in workspace.selection_names() if is_judges(name)]
    if selected:
        raise BamkitError(
            f"the judge's pictures were not fetched yet: {', '.join(selected)}", f"bamkit fetch {selected[0]}"
        )
    raise BamkitError("a judge needs labelled pictures of its own, which no other split shares", recipe(workspace))


def recipe(workspace: Workspace) -> str:
    """The commands that give a judge its pictures: an even draw over the scores of each domain's attribute."""
    domains = workspace.domain_names() or ["happy", "scary"]
    apart = " ".join(f"--disjoint-from {name}" for name in domains)
    attributes = dict.fromkeys(FetchedDomain(name, workspace).attribute for name in domains)
    lines = [
        f"bamkit select --attribute {short(name)} --name judge-{short(name)} --sample stratified --top 1000 --test 0 "
        f"--validation 0 {apart} --group-by project"
        for name in attributes
        if name
    ]
    return "\n".join([*lines, "bamkit fetch", "bamkit judge train"])


Where = list[tuple[ShardReader, np.ndarray]]
"""Shards, and which of their rows are used."""


def _usable(workspace: Workspace, names: list[str]) -> tuple[tuple[pa.Table, Where], dict[str, int]]:
    """The usable rows of the named splits, where their pictures lie, and how many were left out for which reason."""
    columns = list(dict.fromkeys([*IDENTITY, *ATTRIBUTES]))
    others = _others(workspace, names)
    tables, where = [], []
    excluded = {"same image": 0, "near-duplicate": 0, "same project": 0, "twice": 0}
    used: set[int] = set()
    for name in names:
        for split in SPLITS:
            paths = workspace.shards(name, split)
            if not paths:
                continue
            shards = ShardReader(paths, ["mid"])
            rows = shards.table(columns)
            keep = np.ones(len(shards), dtype=bool)
            for reason, mask in shared(rows, others).items():
                excluded[reason] += int(mask.sum())
                keep &= ~mask
            for index, mid in enumerate(rows["mid"].to_pylist()):
                if keep[index] and mid in used:
                    keep[index] = False
                    excluded["twice"] += 1
                used.add(mid)
            tables.append(rows.filter(pa.array(keep)))
            where.append((shards, np.flatnonzero(keep)))
    return (pa.concat_tables(tables), where), excluded


def _others(workspace: Workspace, names: list[str]) -> pa.Table:
    """The identity of every image of every other split and selection: what the judge may be asked to judge."""
    schema = pa.schema(
        [("mid", pa.int64()), ("project_id", pa.int64()), ("original_sha256", pa.string()), ("phash", pa.string())]
    )
    tables = [schema.empty_table()]
    for name in workspace.split_names():
        if name not in names:
            tables.append(FetchedDomain(name, workspace).identity)
    for name in workspace.selection_names():
        if name not in names:
            tables.append(read_table(workspace.selection(name), ["mid", "project_id"]))
    return pa.concat_tables(tables, promote_options="default")


def _labels(rows: pa.Table, part: np.ndarray) -> tuple[tuple[str, ...], np.ndarray, dict[str, str]]:
    """The attributes that can be judged, their (n, k) labels (nan where unsure or none), and why not the rest."""
    value = {"positive": 1.0, "negative": 0.0}
    kept, columns, left_out = [], [], {}
    for name in ATTRIBUTES:
        labels = np.array([value.get(label, np.nan) for label in rows[name].to_pylist()], dtype=np.float32)
        positive, negative = labels == 1, labels == 0
        if min(positive.sum(), negative.sum()) < FEWEST:
            left_out[name] = f"{int(positive.sum())} positive and {int(negative.sum())} negative pictures"
        elif any(not side[part == p].any() for side in (positive, negative) for p in range(len(PARTS))):
            left_out[name] = "one of the three parts has no positive or no negative picture"
        else:
            kept.append(name)
            columns.append(labels)
    return tuple(kept), np.stack(columns, axis=1) if kept else np.zeros((rows.num_rows, 0), np.float32), left_out


def _network(config: JudgeConfig, attributes: tuple[str, ...]) -> Network:
    if config.weights is None:
        backbone = Backbone(config.backbone or "resnet10")
        return Network(Shape(backbone.name, config.side, *PLAIN, False, attributes), backbone)
    backbone, normalisation = pretrained(config.weights, config.backbone or None)
    keras = normalisation == PLAIN
    return Network(Shape(backbone.name, config.side, *normalisation, keras, attributes), backbone)


def _each(where: Where, batch: int, task: str) -> Iterator[list[np.ndarray]]:
    """Decoded pictures of the used rows, `batch` at a time, in order."""
    total = sum(len(rows) for _, rows in where)
    with Progress(task, total, "pictures") as progress:
        for shards, rows in where:
            for start in range(0, len(rows), batch):
                yield [shards.picture(int(index)) for index in rows[start : start + batch]]
                progress.update(progress.done + len(rows[start : start + batch]))


def _features(network: Network, where: Where, side: int, device: torch.device) -> Tensor:
    """(n, d) float32 features of the frozen backbone."""
    network.eval()
    batches = []
    with torch.inference_mode():
        for pictures in _each(where, 16, "judge: features"):
            batch = np.stack([resized(picture, side) for picture in pictures])
            batches.append(network.features(torch.from_numpy(batch).permute(0, 3, 1, 2).to(device)).cpu())
    return torch.cat(batches).clone()


def _pictures(where: Where, side: int) -> Tensor:
    """(n, 3, side, side) uint8: a temporary file mapped into memory, so that 100,000 pictures need no more of it."""
    n = sum(len(rows) for _, rows in where)
    with tempfile.TemporaryFile(prefix="bamkit-judge-") as file:
        stored = np.memmap(file, np.uint8, "w+", shape=(n, 3, side, side))
        done = 0
        for pictures in _each(where, 32, "judge: pictures"):
            batch = np.stack([resized(picture, side) for picture in pictures]).transpose(0, 3, 1, 2)
            stored[done : done + len(batch)] = batch
            done += len(batch)
    return torch.from_numpy(stored)
