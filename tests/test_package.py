"""The wheel as a stranger gets it: built, installed into a fresh environment, run away from the checkout."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(folder.glob("*.whl"))
    venv.create(folder / "env", with_pip=False)
    site = next((folder / "env").glob("lib/python*/site-packages"))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", "--target", site, wheel], check=True
    )
    # The dependencies come from the environment of the tests; its own (editable) bamkit stays invisible,
    # because .pth files are not followed from a folder that is itself named in one.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    return wheel, folder / "env" / "bin" / "python"


def test_the_wheel_holds_the_queries_and_templates(installed):
    names = zipfile.ZipFile(installed[0]).namelist()
    assert any(name.startswith("bamkit/sql/") and name.endswith(".sql") for name in names)
    assert "bamkit/common/pages/templates/page.html.j2" in names
    assert not [name for name in names if name.startswith(("tests/", "docs/", "benchmarks/"))]


def test_sample_and_info_run_from_the_wheel(installed, tmp_path):
    python = installed[1]  # -E: a PYTHONPATH that names the checkout would hide the wheel

    def run(*words):
        done = subprocess.run(
            [python, "-E", "-m", "bamkit", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = [python, "-E", "-c", "import bamkit; print(bamkit.__file__)"]
    assert str(ROOT) not in subprocess.check_output(where, cwd=tmp_path, text=True)
    run("sample", "try", "--rows", "300")
    assert "300" in run("-w", "try", "info")


def test_the_citation_names_this_version():
    import bamkit

    assert f"\nversion: {bamkit.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    import ast
    import re
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    users = [
        *project["dependencies"],
        *(line for name in ("ray", "onnx", "safetensors", "keras", "perceptual", "c2pa") for line in extras[name]),
    ]
    declared = {re.match(r"[\w-]+", line)[0].replace("-", "_") for line in users}
    imported = set()
    for path in (ROOT / "bamkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    names = {"PIL": "pillow", "sklearn": "scikit_learn", "c2pa": "c2pa_python"}
    imported = {names.get(name, name) for name in imported - set(sys.stdlib_module_names) - {"bamkit"}}
    # torch.utils.tensorboard imports tensorboard; torchvision is imported by name (gan/vision.py); torch's exporter to
    # ONNX and the tests of what it writes need the other two.
    by_others = {"tensorboard", "torchvision", "onnxruntime"}
    assert declared - by_others == imported
