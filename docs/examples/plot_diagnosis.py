"""
Find out why a network does not learn
=====================================

In a network of ten logistic layers, each layer passes on about a tenth of the error that it receives. The first layers
hardly learn. `diagnose` measures every layer and names the problem.
"""

# %%
# The table has one row for each layer, then the problem and the remedies:

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from fastmlp import MLPClassifier, diagnose

X, y = load_digits(return_X_y=True)
X = X / 16
deep = MLPClassifier((20,) * 10, "logistic", random_state=0)
diagnosis = diagnose(deep, X, y)
print(diagnosis)

# %%
# The error by layer, on a logarithmic scale:

diagnosis.plot()

# %%
# One of the remedies is batch normalisation:

with_batch_norm = diagnose(deep.set_params(batch_norm=True), X, y)
print(with_batch_norm.findings or "no problem found")
with_batch_norm.plot()
plt.show()
