"""
Regularisation and the decision boundary
========================================

The same network is trained with three strengths of the L2 penalty. Without a penalty it follows single points; with too
much of it, the boundary becomes a straight line.
"""

# %%
# Two classes that overlap, a few training points, and many others for the test:

import matplotlib.pyplot as plt
from sklearn.datasets import make_moons
from sklearn.inspection import DecisionBoundaryDisplay

from fastmlp import MLPClassifier

X, y = make_moons(120, noise=0.3, random_state=0)
X_test, y_test = make_moons(2000, noise=0.3, random_state=1)

# %%
# `DecisionBoundaryDisplay` of scikit-learn draws the probability of the second class:

figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained", sharey=True)
for ax, alpha in zip(axes, (0.01, 0.3, 10.0), strict=True):
    clf = MLPClassifier((30,), "tanh", solver="lbfgs", alpha=alpha, max_iter=3000, random_state=0).fit(X, y)
    DecisionBoundaryDisplay.from_estimator(clf, X, response_method="predict_proba", cmap="RdBu", alpha=0.6, ax=ax)
    ax.scatter(*X.T, c=y, cmap="RdBu", edgecolors="black", s=25)
    scores = f"{clf.score(X, y):.0%} training, {clf.score(X_test, y_test):.0%} test"
    ax.set(title=f"alpha = {alpha:g}: {scores}", xticks=[], yticks=[], xlabel="", ylabel="")
plt.show()
