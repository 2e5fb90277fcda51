"""Warnings in words: a discriminator that wins, translations that are all the same."""

from bamkit.gan.train.monitor.health import Health
from bamkit.gan.train.monitor.validation import Validation


def accuracies(a, b):
    return {"D_A_accuracy": a, "D_B_accuracy": b}


def test_a_winning_discriminator_is_said_once_until_it_has_passed():
    health = Health(("happy", "scary"))
    said = [(step, line) for step in range(50, 3050, 50) for line in health.row(step, accuracies(0.99, 0.8))]
    assert len(said) == 1
    step, line = said[0]
    assert step == 500
    assert "D_A tells real scary pictures from translated ones 99 times in 100" in line
    assert "happy to scary" in line
    for step in range(3050, 4050, 50):
        assert not health.row(step, accuracies(0.7, 0.7))
    again = [line for step in range(4050, 5050, 50) for line in health.row(step, accuracies(0.6, 1.0))]
    assert len(again) == 1
    assert "D_B tells real happy pictures" in again[0]


def test_nothing_is_said_of_a_healthy_run_or_of_its_beginning():
    health = Health(("happy", "scary"))
    assert not [line for step in range(1, 400) for line in health.row(step, accuracies(1.0, 1.0))]
    health = Health(("happy", "scary"))
    assert not [line for step in range(10, 5000, 10) for line in health.row(step, accuracies(0.85, 0.6))]


GOOD = Validation((0.5, 0.4), (0.1, 0.1), (0.9, 1.1))
COLLAPSED = Validation((0.5, 0.4), (0.1, 0.1), (0.9, 0.1))


def test_a_collapse_names_the_direction():
    health = Health(("happy", "scary"))
    assert not health.validation(600, GOOD)
    (line,) = health.validation(700, COLLAPSED)
    assert "scary to happy look nearly the same" in line
    assert "10 %" in line
    assert GOOD.score == (0.5 + 0.4 + 0.1 + 0.1) / 2


def test_untrained_networks_are_not_said_to_have_collapsed():
    """Whatever the picture, they paint grey."""
    health = Health(("happy", "scary"))
    assert not [line for step in (1, 60, 499) for line in health.validation(step, COLLAPSED)]
    assert len(health.validation(500, COLLAPSED)) == 1


def test_what_has_passed_stands_no_longer():
    health = Health(("happy", "scary"))
    health.validation(600, COLLAPSED)
    for step in range(50, 1050, 50):
        health.row(step, accuracies(0.99, 0.7))
    assert len(health.standing) == 2
    health.validation(1100, GOOD)
    assert [line[:20] for line in health.standing.values()] == ["step 500: D_A tells "]
    for step in range(1050, 2050, 50):
        health.row(step, accuracies(0.8, 0.7))
    assert not health.standing
