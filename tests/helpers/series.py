"""Series of step times with known statistics."""

import math

import numpy as np


def autoregression(random: np.random.Generator, rho: float, n: int) -> np.ndarray:
    """Shape (n,): mean 10, standard deviation 1, each value correlated by `rho` with the one before."""
    noise = random.normal(0, math.sqrt(1 - rho**2), n)
    noise[0] = random.normal()
    for i in range(1, n):
        noise[i] += rho * noise[i - 1]
    return 10 + noise
