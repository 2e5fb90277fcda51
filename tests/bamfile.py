"""A small SQLite file with BAM's schema and quirks, made in code for the tests of curation."""

import math
import random
import sqlite3

from templates import templated

ATTRIBUTES = [
    "content_bicycle", "content_cat", "content_tree", "emotion_scary", "media_oilpaint", "content_bird", "content_dog",
    "emotion_gloomy", "media_3d_graphics", "media_pen_ink", "content_building", "content_flower", "emotion_happy",
    "media_comic", "media_vectorart", "content_cars", "content_people", "emotion_peaceful", "media_graphite",
    "media_watercolor",
]  # fmt: skip
LICENSES = ["cc by", "cc by-nc", "cc by-nc-nd", "CC BY-SA", "cc0", "no use", None]


def word(score):
    """The label by the thresholds of the fixture's view."""
    return "positive" if score > -1 else "negative" if score < -3 else "unsure"


@templated
def make_bam(path, rows=600, labels="view", seed=0, without_scores=5, crowd=True, page_size=4096, index=False):
    """Write the file. `labels`: "view", "table", "opaque" (a view that joins) or None. Returns the rows as dicts.

    Three images a project, mids ascending with gaps. Everything is drawn from `seed`.
    """
    draw = random.Random(seed)
    base = sqlite3.connect(path)
    base.executescript(
        f"pragma page_size = {page_size};"
        "create table modules(mid int primary key, project_id int, src text, mature_content boolean, license text);"
        f"create table scores(mid int, {', '.join(f'{name} real' for name in ATTRIBUTES)});"
    )
    made, mid = [], 488
    for i in range(rows):
        mid += draw.randint(1, 90)
        row = {
            "mid": mid,
            "project_id": 1000 + i // 3,
            "src": f"https://example.test/project_modules/disp/{draw.randrange(16**6):06x}{mid}.{draw.randrange(16**13):013x}.jpg",
            "mature_content": int(draw.random() < 0.05),
            "license": draw.choice(LICENSES),
            "scores": {n: -math.exp(draw.gauss(1.5 if draw.random() < 0.8 else -2, 0.8)) for n in ATTRIBUTES},
        }
        made.append(row)
    base.executemany(
        "insert into modules values (:mid, :project_id, :src, :mature_content, :license)",
        [{k: v for k, v in row.items() if k != "scores"} for row in made],
    )
    for row in made[:without_scores]:
        row["scores"] = None
    scored = [row for row in made if row["scores"]]
    marks = ", ".join("?" * 21)
    base.executemany(
        f"insert into scores values ({marks})",
        [[row["mid"], *(row["scores"][n] for n in ATTRIBUTES)] for row in scored],
    )
    other = ATTRIBUTES[::-1]
    if labels in ("view", "opaque"):
        cases = ", ".join(
            f"case when {n} > -1.0 then 'positive' when {n} < -3.0 then 'negative' else 'unsure' end as {n}"
            for n in other
        )
        rest = " join modules using (mid)" if labels == "opaque" else ""
        base.execute(f"create view automatic_labels as select mid, {cases} from scores{rest}")
    elif labels == "table":
        base.execute(f"create table automatic_labels(mid int, {', '.join(f'{n} text' for n in other)})")
        # In another order than scores: a positional join would mislabel nearly every row.
        base.executemany(
            f"insert into automatic_labels values ({marks})",
            [[row["mid"], *(word(row["scores"][n]) for n in other)] for row in reversed(scored)],
        )
    if crowd:
        base.execute("create table crowd_labels(mid int, attribute text, label text, primary key(mid, attribute))")
        about = [(row["mid"], draw.choice(ATTRIBUTES), draw.choice(["positive", "unsure", "negative"])) for row in made]
        base.executemany(
            "insert into crowd_labels values (?, ?, ?)", sorted(about, key=lambda r: (r[1], r[2] != "positive"))
        )
    if index:
        base.execute("create index by_happy on scores(emotion_happy)")
    base.commit()
    base.close()
    return made


def ranked(made, attribute):
    """The rows with scores in rank order: an independent second implementation of the ranking."""
    return sorted((row for row in made if row["scores"]), key=lambda row: (-row["scores"][attribute], row["mid"]))
