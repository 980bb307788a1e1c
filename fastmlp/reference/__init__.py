"""The algorithm written twice, slowly: to read, to check the kernels against, to compare speeds with.

`loops` is the text of the algorithm, one sample, one unit and one weight at a time; `vectorized` is the same
in whole-batch NumPy. Both have the same public names and signatures, and tables (`ACTIVATIONS`, `OUTPUTS`,
`OPTIMIZERS`) to loop over.

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
