"""
Activations and the shape of a fit
==================================

The activation decides what kind of function a small network is: straight pieces with `relu`, a smooth curve with `tanh`
or `silu`.
"""

# %%
# A noisy curve, and the same network with three activations:

import matplotlib.pyplot as plt
import numpy as np

from fastmlp import MLPRegressor

rng = np.random.default_rng(0)
x = np.sort(rng.uniform(-3, 3, 150))
y = np.sin(2 * x) + 0.3 * x + rng.normal(scale=0.2, size=x.size)
grid = np.linspace(-3.5, 3.5, 400)

figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained", sharey=True)
for ax, activation in zip(axes, ("relu", "tanh", "silu"), strict=True):
    settings = {"hidden_layer_sizes": (30,), "solver": "lbfgs", "alpha": 0.05, "max_iter": 2000, "random_state": 0}
    reg = MLPRegressor(activation=activation, tol=1e-3, **settings).fit(x[:, None], y)
    ax.plot(x, y, "o", color="0.6", markersize=3, label="data")
    ax.plot(grid, reg.predict(grid[:, None]), label="prediction")
    ax.set(title=f"{activation}, R2 {reg.score(x[:, None], y):.2f}", xlabel="x")
axes[0].legend()
plt.show()
