"""Student's t distribution."""

from __future__ import annotations


def quantile(probability: float, freedom: float) -> float:
    """Return the t that is not exceeded with this probability in (0, 1); degrees of freedom above 0.

    >>> round(quantile(0.975, 5), 3)
    2.571
    """
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def freedom_of(t: float, probability: float) -> float:
    """Return the degrees of freedom with which a t above 0 is not exceeded with this probability.

    >>> round(freedom_of(quantile(0.975, 5), 0.975), 6)
    5.0
    """
    from scipy.special import stdtridf

    return float(stdtridf(probability, t))


def two_sided_p(value: float, standard_error: float, freedom: float) -> float:
    """Return the probability of a value at least as far from 0 if the truth is 0.

    Without any error it is 1 for a value of 0, else 0.
    """
    from scipy.special import stdtr

    if standard_error == 0:
        return float(value == 0)
    return float(2 * stdtr(freedom, -abs(value) / standard_error))
