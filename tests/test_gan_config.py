"""Training settings: presets, files, flags, what is refused, and the first line."""

from dataclasses import fields

import pytest
import torch

from bamkit.commands.gan.train import command
from bamkit.common import provenance
from bamkit.common.errors import BamkitError
from bamkit.common.terminal.progress import duration
from bamkit.gan.train import settings
from bamkit.gan.train.device.acceleration import Acceleration
from bamkit.gan.train.schedule import Schedule, StepTimer
from bamkit.gan.train.settings import PRESETS, TrainConfig


def test_defaults_are_the_study():
    study = TrainConfig().fitted(286)
    assert (study.size, study.crop, study.epochs, study.decay_epochs, study.batch) == (286, 256, 100, 100, 1)
    assert (study.learning_rate, study.beta1, study.beta2, study.pool) == (2e-4, 0.5, 0.999, 50)
    assert (study.lambda_a, study.lambda_b, study.lambda_identity) == (10, 10, 0.5)
    assert (study.generator, study.blocks, study.width, study.discriminator_channels) == ("resnet", 9, 64, 64)
    assert (study.objective, study.flip, study.ema, study.diffaug) == ("lsgan", True, 0.0, False)
    assert Schedule(study, 1000).total == 200_000
    assert settings.build("study") == TrainConfig()


def test_settings_that_came_later_leave_the_ids_of_recorded_runs_as_they_are():
    """A run's id is the digest of its settings: `TrainConfig()` gave this one before there was a choice of methods."""
    assert provenance.digest(TrainConfig().as_dict()) == "2486ea228a40fcbd"
    assert TrainConfig.from_dict(TrainConfig().as_dict()) == TrainConfig()
    for name in settings.LATER:
        assert name not in TrainConfig().as_dict()


@pytest.mark.parametrize(
    ("pictures", "size", "crop"),
    [(286, 286, 256), (600, 286, 256), (96, 96, 84), (72, 72, 64), (64, 64, 56), (32, 32, 28)],
)
def test_size_and_crop_follow_the_pictures(pictures, size, crop):
    fitted = TrainConfig().fitted(pictures)
    assert (fitted.size, fitted.crop) == (size, crop)


def test_every_setting_is_a_flag_with_its_docstring():
    flags = {parameter.name: parameter for parameter in command.params}
    for field in fields(TrainConfig):
        assert len(flags[field.name].help) > 20, f"{field.name} has no docstring"
        assert f"--{field.name.replace('_', '-')}" in flags[field.name].opts
    assert "as a share of the cycle weights" in flags["lambda_identity"].help


def test_presets_are_valid_and_explained():
    for name in PRESETS:
        settings.build(name).fitted(286)
        assert name in settings.preset_help()
    assert settings.build("quick", None, {"epochs": 3}).steps == 0, (
        "a length in epochs takes the place of the preset's steps"
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"batch": 0}, "batch must be at least 1"),
        ({"width": "64"}, "--width must be a whole number, not '64'"),
        ({"flip": 1}, "flip must be true or false"),
        ({"learning_rate": float("nan")}, "--learning-rate must be a number"),
        ({"learning_rate": 0.0}, "--learning-rate must be above 0"),
        ({"objective": "wgan"}, "--objective must be one of lsgan, log-likelihood"),
        ({"steps": 5, "minutes": 2.0}, "steps or minutes, not both"),
        ({"epochs": 0, "decay_epochs": 0}, "no epochs"),
        ({"crop": 30}, "no multiple of 4"),
        ({"crop": 20}, "too small"),
        ({"crop": 96, "size": 64}, "does not fit"),
        ({"generator": "unet", "crop": 96}, "no multiple of 256"),
        ({"ema": 1.0}, "ema"),
    ],
)
def test_invalid_settings_are_refused(values, words):
    with pytest.raises(BamkitError, match=words) as caught:
        TrainConfig(**values)
    assert caught.value.hint


def test_unet_says_what_it_needs():
    with pytest.raises(BamkitError, match="8 halvings needs pictures of 256 px, and these have 72") as caught:
        TrainConfig(generator="unet").fitted(72)
    assert "--halvings 6" in caught.value.hint
    assert TrainConfig(generator="unet", halvings=6).fitted(72).crop == 64
    assert TrainConfig(generator="unet").fitted(286).crop == 256


def test_files_and_unknown_names(tmp_path):
    toml, run = tmp_path / "a.toml", tmp_path / "run.json"
    toml.write_text("width = 8\n")
    run.write_text('{"config": {"width": 9, "blocks": 2}}')
    assert settings.build(None, toml, {"blocks": 3}).width == 8
    assert settings.build("quick", run).blocks == 2
    with pytest.raises(BamkitError, match="no preset 'quik'"):
        settings.build("quik")
    toml.write_text("width = ")
    with pytest.raises(BamkitError, match="not valid"):
        settings.build(None, toml)
    with pytest.raises(BamkitError, match="cannot be read"):
        settings.build(None, tmp_path / "none.toml")
    toml.write_text("widht = 8\n")
    with pytest.raises(BamkitError, match="widht") as caught:
        settings.build(None, toml)
    assert "width" in caught.value.hint


def test_a_resumed_run_keeps_what_is_learned():
    known = TrainConfig(width=8, minutes=5.0).as_dict()
    longer = settings.resumed(known, {"steps": 900, "width": None, "samples": 3})
    assert (longer.steps, longer.minutes, longer.width, longer.samples) == (900, 0.0, 8, 3)
    with pytest.raises(BamkitError, match="trained with width 8, not 16"):
        settings.resumed(known, {"width": 16})


def test_the_first_line_is_from_a_measured_step(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("bamkit.gan.train.schedule.time.monotonic", lambda: clock[0])
    cpu = torch.device("cpu")
    timer = StepTimer(cpu, Acceleration(), 1)
    for seconds, told in ((3.0, False), (0.5, False), (0.5, True), (0.5, False)):
        clock[0] += seconds
        assert timer.tick() is told
    assert timer.seconds_a_step == pytest.approx(0.5), "the first step is not typical"
    assert "1,000 steps of 0.5 s" in timer.sentence(TrainConfig(steps=1000), cpu, 1000, 100)
    timer.seconds_a_step = 172.4
    assert "8 steps of 172 s" in timer.sentence(TrainConfig(steps=8), cpu, 8, 100)
    slow = StepTimer(cpu, Acceleration(), 1)
    clock[0] += 20
    assert slow.tick()
    assert slow.seconds_a_step == pytest.approx(20), "nobody waits for a second slow step"
    line = slow.sentence(TrainConfig(), cpu, 200_000, 1000)
    assert "200,000 steps of 20 s" in line
    assert "46 d" in line
    assert "--preset quick" in line
    quick = slow.sentence(settings.build("quick", given={"steps": 90_000}), cpu, 90_000, 1000)
    assert "--preset quick" not in quick, "it is that already"
    assert "a GPU" in line


@pytest.mark.parametrize("compilation", [[60.0, 0.2, 0.2], [12.0, 30.0, 11.0], [3.0, 0.2, 0.2]])
def test_minutes_are_not_those_of_the_compilation(monkeypatch, compilation):
    """Steps that compile are not measured, however long they take: 10 minutes at 0.1 s are 6,000 steps."""
    clock = [100.0]
    monkeypatch.setattr("bamkit.gan.train.schedule.time.monotonic", lambda: clock[0])
    cpu = torch.device("cpu")
    timer, schedule = StepTimer(cpu, Acceleration(compile=True), 1), Schedule(TrainConfig(minutes=10.0), 100)
    steps = iter([*compilation, *[0.1] * 20])
    while not schedule.fixed:
        clock[0] += next(steps)
        if timer.tick():
            schedule.fix(schedule.steps_in(10.0, timer.seconds_a_step))
    assert schedule.total == pytest.approx(6000, abs=1)
    assert f"Compilation took {duration(sum(compilation))} before" in timer.sentence(TrainConfig(), cpu, 6000, 100)
