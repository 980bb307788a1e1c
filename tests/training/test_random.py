"""The generators of random numbers are those of scikit-learn."""

import pickle

import numpy as np
import pytest
from sklearn.utils import check_random_state

from fastmlp.training._random import random_generator


@pytest.mark.parametrize("seed", [0, np.int64(5), 2**32 - 1, True])
def test_integers_give_the_numbers_of_scikit_learn(seed):
    ours, theirs = random_generator(seed), check_random_state(seed)
    assert repr(ours.get_state(legacy=False)) == repr(theirs.get_state(legacy=False))
    np.testing.assert_array_equal(ours.uniform(size=1000), theirs.uniform(size=1000))
    loaded = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(loaded.standard_normal(9), theirs.standard_normal(9))


def test_generators_of_the_user_are_not_copied():
    random = np.random.RandomState(0)
    assert random_generator(random) is random
    assert random_generator(None) is check_random_state(None)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(ValueError, match="Seed must be between 0 and"):
        random_generator(seed)
