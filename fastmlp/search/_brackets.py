"""The arithmetic of Hyperband: how many candidates train for how many epochs (Li et al. 2018, algorithm 1)."""

from typing import NamedTuple

__all__ = ["Bracket", "brackets", "deal"]


class Bracket(NamedTuple):
    """One run of successive halving.

    Attributes
    ----------
    eliminations : int
        s in the paper.
    candidates : int
        n: candidates at the beginning.
    resources : tuple of int
        Total number of epochs of a candidate after rungs 0, 1, ..., s.
    """

    eliminations: int
    candidates: int
    resources: tuple[int, ...]

    def survivors(self, rung: int, factor: int) -> int:
        """Return the number of candidates in `rung`: floor(n / factor^rung), and at least one."""
        return max(1, self.candidates // factor**rung)


def brackets(max_resources: int, min_resources: int, factor: int) -> list[Bracket]:
    """Return the brackets s_max, ..., 1, 0 of algorithm 1, in whole numbers.

    Parameters
    ----------
    max_resources : int
        R: number of epochs of a candidate that is never eliminated.
    min_resources : int
        Smallest number of epochs of a rung, from 1 to R.
    factor : int
        eta: every elimination keeps one candidate in `factor`, for `factor` times the epochs.
    """
    last = 0  # s_max; by division, because a logarithm may be off by one
    while max_resources // factor ** (last + 1) >= min_resources:
        last += 1
    return [
        Bracket(
            s,
            -(-(last + 1) * factor**s // (s + 1)),
            tuple(max_resources // factor ** (s - rung) for rung in range(s + 1)),
        )
        for s in range(last, -1, -1)
    ]


def deal(whole: list[Bracket], available: int) -> list[Bracket]:
    """Shrink brackets in proportion if there are fewer candidates than they need; drop brackets without candidates.

    Therefore no candidate trains in two brackets. The shares of the brackets are rounded by largest remainder.
    """
    wanted = sum(bracket.candidates for bracket in whole)
    if available >= wanted:
        return whole
    shares = [bracket.candidates * available // wanted for bracket in whole]
    remainders = [bracket.candidates * available % wanted for bracket in whole]
    order = sorted(range(len(whole)), key=lambda b: -remainders[b])
    for b in order[: available - sum(shares)]:
        shares[b] += 1
    return [bracket._replace(candidates=n) for bracket, n in zip(whole, shares, strict=True) if n]
