"""
Learning curves and early stopping
==================================

The loss on the training rows keeps falling while the score on other rows no longer rises. `early_stopping=True` stops
there, and returns to the weights of the best epoch.
"""

# %%
# Three learning rates on the same data:

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from fastmlp import LossCurveDisplay, MLPClassifier

X, y = load_digits(return_X_y=True)
X = X / 16
networks = {
    f"rate {rate}": MLPClassifier((50,), learning_rate_init=rate, early_stopping=True, random_state=0).fit(X, y)
    for rate in (0.001, 0.01, 0.1)
}
for name, clf in networks.items():
    print(f"{name}: {clf.n_iter_} epochs, the best is epoch {clf.best_epoch_}, score {clf.best_validation_score_:.3f}")

# %%
# Solid lines are training losses, dashed lines validation scores:

LossCurveDisplay.from_estimator(networks)
plt.show()
