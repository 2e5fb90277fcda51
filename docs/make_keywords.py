"""Writes bamkit/api/keywords.py, the types of the Python API's keywords, from the settings: `make reference`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bamkit.api.options import keywords_of
from bamkit.common.settings import Setting
from bamkit.curate.export.settings import ExportSettings
from bamkit.curate.fetch.settings import FetchSettings
from bamkit.curate.select.query import Query
from bamkit.gan.evaluate.settings import EvaluateOptions
from bamkit.gan.judge.settings import JudgeConfig
from bamkit.gan.train.settings import TrainConfig
from bamkit.gan.translate.settings import TranslateConfig
from bamkit.gan.user_study.settings import StudyOptions

TARGET = Path(__file__).parents[1] / "bamkit" / "api" / "keywords.py"
CLASSES = (
    Query, FetchSettings, TrainConfig, TranslateConfig, JudgeConfig, EvaluateOptions, StudyOptions, ExportSettings,
)  # fmt: skip
ELSEWHERE = {FetchSettings: ("retry",), TranslateConfig: ("size",), ExportSettings: ("to",)}
"""Fields that the methods take by themselves."""
TYPES = {os.PathLike: "str | PathLike[str]", int: "int", float: "float", str: "str", bool: "bool"}
HEAD = '''"""The keywords of the Python API, for type checkers and editors. Made by docs/make_keywords.py."""

from __future__ import annotations

from collections.abc import Collection
from os import PathLike
from typing import Literal, TypedDict

# None stands for what is not given.
'''


def hint(setting: Setting) -> str:
    """The type of a keyword as text."""
    one = TYPES[setting.kind]
    if setting.choices and not setting.multiple:
        words = ", ".join(f'"{word}"' for word in setting.choices)
        one = f"Literal[{words}]"
    return f"{one} | Collection[{one}] | None" if setting.multiple else f"{one} | None"


def lines(cls: Any) -> list[str]:
    """A TypedDict with the keywords of a settings dataclass."""
    own = ELSEWHERE.get(cls, ())
    keywords = {word: setting for word, setting in keywords_of(cls).items() if word not in own}
    fields = [f"    {word}: {hint(setting)}" for word, setting in keywords.items()]
    return ["", "", f"class {cls.__name__}Keywords(TypedDict, total=False):", *fields]


def module() -> str:
    """The whole module."""
    return HEAD + "\n".join(line for cls in CLASSES for line in lines(cls)) + "\n"


if __name__ == "__main__":
    TARGET.write_text(module(), encoding="utf-8")
