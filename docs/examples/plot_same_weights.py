"""
The same weights as scikit-learn
================================

Both packages draw the same initial weights and the same mini-batches for the same `random_state`. In float64 the loss
curves coincide, and the weights differ by rounding only.
"""

# %%
# The only difference between the two is the import:

import matplotlib.pyplot as plt
import sklearn.neural_network
from sklearn.datasets import load_digits

import fastmlp

X, y = load_digits(return_X_y=True)
X = X / 16
settings = {"hidden_layer_sizes": (32,), "early_stopping": True, "random_state": 0}
ours = fastmlp.MLPClassifier(**settings).fit(X, y)
theirs = sklearn.neural_network.MLPClassifier(**settings).fit(X, y)
difference = max(abs(a - b).max() for a, b in zip(ours.coefs_, theirs.coefs_, strict=True))
print(f"{ours.n_iter_} and {theirs.n_iter_} epochs; the weights agree to 1e-6: {difference < 1e-6}")

# %%
# One curve covers the other:

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(theirs.loss_curve_, linewidth=6, color="0.8", label="scikit-learn")
ax.plot(ours.loss_curve_, label="fastmlp")
ax.set(xlabel="epoch", ylabel="training loss", yscale="log")
ax.legend()
plt.show()
