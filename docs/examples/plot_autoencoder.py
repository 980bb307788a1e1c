"""
Two numbers for each digit
==========================

An autoencoder reproduces its input through a narrow layer. With two units there, every image becomes a point in the
plane. Principal components do the same with linear functions.
"""

# %%
# Train without labels:

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from fastmlp import MLPAutoencoder

X, y = load_digits(return_X_y=True)
X = X / 16
coder = MLPAutoencoder((100, 2), ["silu", "identity"], learning_rate_init=0.005, max_iter=150, random_state=0)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # 150 epochs are enough for the picture
    coder.fit(X)
pca = PCA(2).fit(X)
print(f"explained variance, autoencoder: {coder.score(X):.2f}")
print(f"explained variance, PCA: {pca.explained_variance_ratio_.sum():.2f}")

# %%
# The colour is the digit, which neither method has seen:

figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
for ax, name, model in zip(axes, ("PCA", "autoencoder"), (pca, coder), strict=True):
    codes = model.transform(X)
    points = ax.scatter(*codes.T, c=y, cmap="tab10", vmin=-0.5, vmax=9.5, s=6)
    ax.set(title=name, xticks=[], yticks=[])
figure.colorbar(points, ticks=range(10), label="digit")
plt.show()
