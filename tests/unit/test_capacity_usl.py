"""The Universal Scalability Law: parameters that were put in come out again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from planebench.capacity.document import ScalabilityLaw
from planebench.capacity.usl import fit, peak, throughput

N = [1, 2, 4, 8, 16, 32, 64, 96]


def fitted(gamma: float, sigma: float, kappa: float, error: float = 0.0, seed: int = 1) -> ScalabilityLaw:
    exact = throughput(N, gamma, sigma, kappa)
    chance = np.random.default_rng(seed)
    found = fit(N, (exact * np.exp(chance.normal(0, error, len(N)))).tolist())
    assert isinstance(found, ScalabilityLaw)
    return found


@pytest.mark.parametrize(("sigma", "kappa"), [(0.05, 0.001), (0.02, 0.0005), (0.1, 0.0001)])
def test_exact_figures_give_the_parameters_back(sigma: float, kappa: float) -> None:
    found = fitted(40, sigma, kappa)
    assert found.gamma.value == pytest.approx(40, rel=1e-3)
    assert found.sigma.value == pytest.approx(sigma, rel=0.01)
    assert found.kappa.value == pytest.approx(kappa, rel=0.01)
    assert found.r_squared == pytest.approx(1)
    assert found.peak_at.value == pytest.approx(math.sqrt((1 - sigma) / kappa), rel=0.01)


def test_noise_shows_in_the_intervals_and_they_hold_the_truth() -> None:
    held = 0
    for seed in range(10):
        found = fitted(40, 0.05, 0.001, error=0.03, seed=seed)
        assert found.sigma.low is not None
        assert found.sigma.high is not None
        assert found.sigma.high > found.sigma.low
        held += found.sigma.low <= 0.05 <= found.sigma.high
    assert held >= 8


def test_the_peak_is_where_throughput_is_greatest() -> None:
    most, at = peak(40, 0.05, 0.001)
    around = throughput(np.linspace(1, 200, 20_000), 40, 0.05, 0.001)
    assert most == pytest.approx(around.max(), rel=1e-4)
    assert at == pytest.approx(math.sqrt(0.95 / 0.001))


def test_without_coherency_there_is_a_ceiling_and_without_contention_none() -> None:
    assert peak(40, 0.05, 0) == (800, math.inf)
    assert peak(40, 0, 0) == (math.inf, math.inf)


def test_what_was_not_measured_is_called_extrapolated() -> None:
    near, far = fitted(40, 0.05, 0.001), fitted(40, 0.01, 0.00001)
    assert not near.peak_extrapolated
    assert far.peak_extrapolated
    assert [projection.extrapolated for projection in near.projections] == [False, True, True, True]
    assert near.projections[0].concurrency == near.measured_up_to == 96


def test_a_straight_line_has_no_end() -> None:
    found = fit(N, [10.0 * n for n in N])
    assert isinstance(found, ScalabilityLaw)
    assert found.sigma.value == pytest.approx(0, abs=1e-6)
    assert found.peak_extrapolated


@pytest.mark.parametrize(
    ("concurrency", "per_s", "why"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], "it takes 5 steps, there are 4"),
        ([1, 2, 3, 4, 0, math.nan], [1, 2, 3, 4, 5, 6], "it takes 5 steps, there are 4"),
        ([10, 11, 12, 13, 14], [1, 2, 3, 4, 5], "about the same number"),
    ],
)
def test_too_little_gives_no_law_but_a_reason(concurrency: list[float], per_s: list[float], why: str) -> None:
    found = fit(concurrency, per_s)
    assert isinstance(found, str)
    assert why in found


def test_the_same_steps_give_the_same_law() -> None:
    assert fitted(40, 0.05, 0.001, error=0.03) == fitted(40, 0.05, 0.001, error=0.03)
