"""The keywords of the Python API, for type checkers and editors. Made by docs/make_keywords.py."""

from __future__ import annotations

from collections.abc import Collection
from os import PathLike
from typing import Literal, TypedDict

# None stands for what is not given.


class QueryKeywords(TypedDict, total=False):
    attribute: str | None
    top: int | None
    test: int | None
    validation: int | None
    reserve: int | None
    with_: str | Collection[str] | None
    without: str | Collection[str] | None
    min_score: str | Collection[str] | None
    max_score: str | Collection[str] | None
    labels: Literal["automatic", "crowd", "threshold"] | None
    positive_above: float | None
    negative_below: float | None
    license: str | Collection[str] | None
    no_mature: bool | None
    rank_by: str | None
    sample: Literal["top", "random", "stratified"] | None
    seed: int | None
    limit_per_project: int | None
    group_by: Literal["project"] | None
    disjoint_from: str | Collection[str] | None
    match: str | None
    pool: int | None
    match_any: bool | None
    reviewed: str | Collection[str] | None


class FetchSettingsKeywords(TypedDict, total=False):
    size: int | None
    fit: Literal["squash", "crop", "pad", "short-side"] | None
    format: Literal["jpeg", "png", "webp"] | None
    quality: int | None
    oversample: float | None
    max_bytes: int | None
    max_pixels: int | None
    min_side: int | None
    accept: str | Collection[str] | None
    seconds: float | None
    connect_seconds: float | None
    silent_seconds: float | None
    max_redirects: int | None
    connections: int | None
    workers: int | None
    rate: float | None
    attempts: int | None
    throttled_attempts: int | None
    backoff: float | None
    backoff_cap: float | None
    patience: float | None
    breaker_after: int | None
    breaker_pause: float | None
    breaker_tries: int | None
    first_pause: float | None
    contact: str | None
    ignore_noai: bool | None
    ignore_robots: bool | None
    ignore_tdm: bool | None
    ignore_ai_txt: bool | None
    no_replace: bool | None
    no_originals: bool | None
    download_again: bool | None
    allow_private: bool | None
    ca_file: str | None
    placeholder: str | Collection[str] | None
    placeholder_repeats: int | None
    threads: int | None
    shard_rows: int | None
    engine: Literal["local", "ray"] | None
    partition: int | None
    ray_address: str | None


class TrainConfigKeywords(TypedDict, total=False):
    method: Literal["cyclegan", "cut", "santa"] | None
    generator: Literal["resnet", "unet", "affine"] | None
    blocks: int | None
    width: int | None
    discriminator_width: int | None
    halvings: int | None
    objective: Literal["lsgan", "log-likelihood"] | None
    lambda_a: float | None
    lambda_b: float | None
    lambda_identity: float | None
    fastcut: bool | None
    lambda_nce: float | None
    lambda_path: float | None
    lambda_ends: float | None
    pool: int | None
    learning_rate: float | None
    beta1: float | None
    beta2: float | None
    batch: int | None
    epochs: int | None
    decay_epochs: int | None
    steps: int | None
    minutes: float | None
    size: int | None
    crop: int | None
    flip: bool | None
    seed: int | None
    ema: float | None
    diffaug: bool | None
    amp: Literal["auto", "off", "bf16"] | None
    compile: Literal["auto", "on", "off"] | None
    graphs: Literal["auto", "on", "off"] | None
    low_memory: bool | None
    on_nan: Literal["stop", "rollback"] | None
    checkpoint_minutes: float | None
    keep: int | None
    keep_validated: bool | None
    log_every: int | None
    samples: int | None
    sample_pictures: int | None
    validations: int | None
    tensorboard: bool | None


class TranslateConfigKeywords(TypedDict, total=False):
    checkpoint: str | None
    batch: int | None
    tile: int | None
    memory: float | None
    strength: float | None
    device: str | None
    no_mark: bool | None
    c2pa: str | PathLike[str] | None


class JudgeConfigKeywords(TypedDict, total=False):
    weights: str | PathLike[str] | None
    backbone: str | None
    size: int | None
    epochs: int | None
    finetune: bool | None
    batch: int | None
    learning_rate: float | None
    weight_decay: float | None
    seed: int | None
    device: str | None


class EvaluateOptionsKeywords(TypedDict, total=False):
    split: Literal["train", "test", "validation"] | None
    judge: str | PathLike[str] | None
    second: str | PathLike[str] | None
    features: Literal["auto", "inception", "judge", "colours"] | None
    inception: str | PathLike[str] | None
    alexnet: str | PathLike[str] | None
    device: str | None
    seed: int | None
    checkpoints: bool | None
    pictures: int | None


class StudyOptionsKeywords(TypedDict, total=False):
    against: str | None
    trials: int | None
    repeats: int | None
    split: str | None
    seed: int | None


class ExportSettingsKeywords(TypedDict, total=False):
    licensed_only: bool | None
    license_ok: bool | None
    shard: int | None
