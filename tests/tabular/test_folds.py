"""Folds are alike in size and in their targets."""

import numpy as np
import pytest

from fastmlp.tabular._folds import NEVER_HELD_OUT, deal_folds


@pytest.mark.parametrize("n_folds", [2, 4, 5])
def test_classes_are_stratified(n_folds):
    y = np.repeat([0, 1, 2], [61, 7, 2])
    folds = deal_folds(y, n_folds, np.random.RandomState(0), classes=True)
    sizes = np.bincount(folds, minlength=n_folds)
    assert np.ptp(sizes) <= 1
    for label in range(3):
        # A class begins and ends within a group of n_folds rows, so its share is exact but for these two.
        assert np.ptp(np.bincount(folds[y == label], minlength=n_folds)) <= 2


def test_values_are_stratified():
    y = np.random.default_rng(0).lognormal(size=400)
    folds = deal_folds(y, 4, np.random.RandomState(0), classes=False)
    ranks = y.argsort().argsort()
    # Of every 4 neighbours each fold has one, so the means of the ranks differ by less than 4.
    assert np.ptp([ranks[folds == fold].mean() for fold in range(4)]) < 4


def test_single_row_of_a_class_is_never_held_out():
    folds = deal_folds(np.array([0, 1, 0, 0]), 2, np.random.RandomState(0), classes=True)
    assert folds[1] == NEVER_HELD_OUT
    assert set(folds[[0, 2, 3]]) == {0, 1}


@pytest.mark.parametrize("seed", range(20))
def test_rows_of_single_classes_empty_no_fold(seed):
    # Sorted by class alone, every row of class 2 or 4 would share its group of four with single rows.
    y = np.array([0, 1, 2, 2, 3, 4, 4, 5, 6])
    folds = deal_folds(y, 4, np.random.RandomState(seed), classes=True)
    assert sorted(folds[[2, 3, 5, 6]]) == [0, 1, 2, 3]
    assert (folds[[0, 1, 4, 7, 8]] == NEVER_HELD_OUT).all()


def test_seed():
    y = np.arange(30) % 3
    first, second, other = (deal_folds(y, 3, np.random.RandomState(seed), classes=True) for seed in (0, 0, 1))
    assert (first == second).all()
    assert (first != other).any()
