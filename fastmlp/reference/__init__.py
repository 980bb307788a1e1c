"""Two reference implementations of the algorithm, for reading, testing and benchmarking.

`loops` uses plain loops over samples, units and weights. `vectorized` uses NumPy operations on whole batches. Both
modules have the same public names and signatures. Their tables `ACTIVATIONS`, `OUTPUTS` and `OPTIMIZERS` list all
activations, outputs and optimizers by name.

Examples
--------
>>> from fastmlp.reference import loops, vectorized
>>> AND = [[[20.0], [20.0]]], [[-30.0]]
>>> X = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
>>> [round(h) for h in loops.forward(*AND, X, output="logistic")[-1].ravel().tolist()]
[0, 0, 0, 1]
>>> [round(h) for h in vectorized.forward(*AND, X, output="logistic")[-1].ravel().tolist()]
[0, 0, 0, 1]
"""

from fastmlp.reference import loops, vectorized

__all__ = ["loops", "vectorized"]
