"""What many tests build alike is built once in a process, and copied for each of them."""

import functools
import pickle
import shutil
import tempfile
from pathlib import Path

FOLDER = tempfile.TemporaryDirectory(prefix="bamkit-tests-", ignore_cleanup_errors=True)


def templated(build):
    """`build(path, ...)` makes the file `path`, or fills the folder `path`, from its other arguments alone.

    The second call with the same arguments copies what the first one made, and returns a copy of what it returned.
    """
    made = {}

    @functools.wraps(build)
    def copied(path, *arguments, **options):
        key = repr((arguments, sorted(options.items())))
        if key not in made:
            template = Path(tempfile.mkdtemp(dir=FOLDER.name)) / "template"
            made[key] = template, pickle.dumps(build(template, *arguments, **options))
        template, result = made[key]
        if template.is_dir():
            shutil.copytree(template, path, dirs_exist_ok=True)
        else:
            shutil.copyfile(template, path)
        return pickle.loads(result)

    return copied
