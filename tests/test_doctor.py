"""`bamkit doctor`: each fault is found, said, and mended by what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bamkit import doctor
from bamkit.common.workspace import Workspace

SOUND = {
    "torch": "2.6.0",
    "built_for": "CPU",
    "gpus": [],
    "threads": 2,
    "torchvision": "0.21",
    "torchvision_error": None,
}


def states(findings):
    return {finding.what: finding.state for finding in findings}


def test_torch_and_the_gpu():
    assert states(doctor.said_of_torch(SOUND, gpu=False)) == {"torch": "fine", "GPU": "note", "torchvision": "fine"}
    assert states(doctor.said_of_torch(SOUND, gpu=True))["GPU"] == "wrong", "a CPU build on a GPU machine"
    built = {**SOUND, "built_for": "CUDA 12.4"}
    (old,) = [each for each in doctor.said_of_torch(built, gpu=True) if each.what == "GPU"]
    assert old.state == "wrong"
    assert "driver" in old.mend
    with_gpu = {**built, "gpus": [{"name": "H100", "memory": 80e9}]}
    (fine,) = [each for each in doctor.said_of_torch(with_gpu, gpu=True) if each.what == "GPU"]
    assert (fine.state, fine.found) == ("fine", "H100 (80.0 GB)")
    broken = {**SOUND, "torchvision_error": "RuntimeError: operator torchvision::nms does not exist"}
    assert states(doctor.said_of_torch(broken, gpu=False))["torchvision"] == "wrong"


@pytest.mark.parametrize("code", ["import os; os.abort()", "raise ImportError('libcudart.so.12 is missing')"])
def test_a_torch_that_dies_is_an_answer(code, monkeypatch, tmp_path):
    (tmp_path / "torch.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(doctor.__file__).parents[1]}")
    (found,) = doctor._torch()
    assert found.state == "wrong"
    assert "cannot be imported" in found.found
    assert found.mend.startswith("pip install")


@pytest.mark.parametrize(
    ("environment", "state", "says"),
    [
        ({}, "fine", "none"),
        ({"HTTP_PROXY": "http://ada:secret@proxy:3128"}, "fine", "http://proxy:3128"),
        ({"https_proxy": "socks5://proxy:1080"}, "wrong", "a socks5 proxy"),
        ({"ALL_PROXY": "proxy:3128"}, "wrong", "is no address"),
        ({"HTTPS_PROXY": "http://proxy:port"}, "wrong", "is no address"),
        ({"SSL_CERT_FILE": "/nowhere.pem"}, "wrong", "/nowhere.pem is not there"),
    ],
)
def test_proxies_and_certificates(environment, state, says):
    findings = list(doctor._proxies(environment))
    assert findings[-1].state == state
    assert says in findings[-1].found
    assert "secret" not in str(findings)


def test_packages_that_are_missing_or_old(monkeypatch):
    wanted = ["numpy>=1.26", "no-such-thing>=2", "click>=999", "ray>=2; extra == 'ray'", "zzz>=1; extra == 'onnx'"]
    monkeypatch.setattr(doctor, "_requirements", lambda: wanted)
    (found,) = doctor._packages()
    assert found.state == "wrong"
    assert found.found.startswith("no-such-thing>=2 is not installed; click>=999 is needed, ")
    assert found.mend == "pip install 'no-such-thing>=2' 'click>=999'"
    extras = {each.what.partition(":")[0]: each for each in doctor._extras()}
    assert extras["onnx"].state == "note"
    assert "pip install 'bamkit[onnx]'" in extras["onnx"].mend


def test_a_full_disk_and_a_folder_that_cannot_be_written(monkeypatch, tmp_path):
    usage = type("Usage", (), {"free": 5e8})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert {each.state for each in doctor._disks(Workspace(tmp_path / "not" / "yet"))} == {"wrong"}

    def refused(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refused)
    (found,) = doctor._access(Workspace(tmp_path))
    assert found.state == "wrong"
    assert "Permission denied" in found.found


def test_pictures_and_fonts_of_this_installation_are_fine(tmp_path):
    assert set(states(doctor._pictures()).values()) <= {"fine", "note"}
    assert [each.state for each in doctor._access(Workspace(tmp_path))] == ["fine"]
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_to_mend_and_exits_1(bamkit, monkeypatch, tmp_path):
    findings = [doctor.Finding("Python", "3.11"), doctor.Finding("GPU", "unused", "wrong", "nvidia-smi")]
    monkeypatch.setattr("bamkit.doctor.examine", lambda _: findings)
    shown = bamkit("doctor", cwd=tmp_path, code=1).output
    assert "hint: GPU: nvidia-smi" in shown
    assert shown.endswith("1 to mend\n")
    assert json.loads(bamkit("doctor --json", cwd=tmp_path, code=1).output)["healthy"] is False
    monkeypatch.setattr("bamkit.doctor.examine", lambda _: findings[:1])
    assert bamkit("doctor", cwd=tmp_path).output.endswith("nothing is wrong\n")


@pytest.mark.slow
def test_this_installation_is_sound_and_no_torch_is_imported_here(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from bamkit import doctor; from bamkit.common.workspace import Workspace\n"
        "print([f for f in doctor.examine(Workspace(Path())) if f.state == 'wrong'], 'torch' in sys.modules)"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=tmp_path)
    assert said == "[] False\n"
