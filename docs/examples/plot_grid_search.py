"""
Search for a penalty and a hidden layer size
============================================

A grid search fits the same pipeline many times. The networks are small, and this is where fastmlp saves most time.
"""

# %%
# Five folds for each of 20 candidates:

import matplotlib.pyplot as plt
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier

X, y = load_wine(return_X_y=True)
pipeline = make_pipeline(StandardScaler(), MLPClassifier(learning_rate_init=0.01, max_iter=1000, random_state=0))
alphas, sizes = [1e-3, 1e-1, 10, 100, 1000], [(5,), (20,), (50,), (20, 20)]
grid = {"mlpclassifier__alpha": alphas, "mlpclassifier__hidden_layer_sizes": sizes}
search = GridSearchCV(pipeline, grid, cv=5, scoring="neg_log_loss").fit(X, y)
print(search.best_params_)

# %%
# The log loss of every candidate; dark is better. The penalty matters more than the size:

losses = -search.cv_results_["mean_test_score"].reshape(len(alphas), len(sizes))
figure, ax = plt.subplots(figsize=(6, 4.2), layout="constrained")
image = ax.imshow(losses, cmap="viridis", norm="log", aspect="auto")
ax.set(xlabel="hidden_layer_sizes", ylabel="alpha")
ax.set_xticks(range(len(sizes)), map(str, sizes))
ax.set_yticks(range(len(alphas)), [f"{alpha:g}" for alpha in alphas])
figure.colorbar(image, label="log loss on the validation folds")
plt.show()
