"""
Recognise handwritten digits
============================

A network with one hidden layer of 100 units reads images of 8 x 8 pixels. The pictures
show the digits that it takes for others, and what the units of the hidden layer respond to.
"""

# %%
# Train on three quarters of the images:

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fastmlp import MLPClassifier, WeightImageDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)
clf = MLPClassifier((100,), alpha=0.1, max_iter=500, random_state=0).fit(X_train, y_train)
print(f"accuracy {clf.score(X_test, y_test):.3f}")

# %%
# The test images to whose true digit the network gives the lowest probability:

probability = clf.predict_proba(X_test)[range(len(y_test)), y_test]
figure, axes = plt.subplots(1, 6, figsize=(9, 2), layout="constrained")
for ax, i in zip(axes, probability.argsort()[:6], strict=True):
    ax.imshow(X_test[i].reshape(8, 8), cmap="gray_r")
    ax.set(title=f"{y_test[i]}, read as {clf.predict(X_test[[i]])[0]}", xticks=[], yticks=[])

# %%
# The weights of the hidden units with the largest weights. Blue pixels speak against the pattern, red ones for it:

WeightImageDisplay.from_estimator(clf, max_units=25)
plt.show()
