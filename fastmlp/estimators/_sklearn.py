"""Every private name of scikit-learn that fastmlp's estimators and inspection tools use, for versions 1.6 to 1.9.

All other modules import public names or these, except for `fastmlp.search._sklearn`. A comment at each private name
states its purpose and its replacement in versions without it.

Private protocols that cannot be imported are part of `sklearn.base.BaseEstimator` in all these versions:
`_parameter_constraints` and `_validate_params` (validation of parameters, used by `_fit_context`) and
`_get_param_names` (names of the parameters, overridden in `_base` by a cached version). `_validation.binarizer_for`
sets the fitted attributes `y_type_` and `sparse_input_` of `sklearn.preprocessing.LabelBinarizer`, which are not
documented; a test compares them with those that `LabelBinarizer.fit` sets.
"""

# Decorator of `fit` and `partial_fit`: validates the parameters once for a whole fit and, since 1.9, gives callbacks
# their context. The same since 1.3. There is no public replacement: without it, `fit` has to call
# `self._validate_params()` itself.
from sklearn.base import _fit_context

# `set_callbacks`, and the private method `_init_callback_context`, which makes the context of a fit and which
# scikit-learn documents for developers of estimators. New in 1.9; `_callbacks` replaces it in earlier versions.
try:
    from sklearn.callback import CallbackSupportMixin, FitCallback
except ImportError:
    CallbackSupportMixin = FitCallback = None

# The constraints of `_parameter_constraints`, the function that checks them, and the type of its error. The same since
# 1.3 (`Options` since 1.2). There is no public replacement: without them, `fit` has to test the values and raise a
# class that is both a ValueError and a TypeError.
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    validate_parameter_constraints,
)

# The logic of the argument `classes` of `partial_fit`, with scikit-learn's messages. The same since 1.0; sets
# `classes_`. There is no public replacement.
from sklearn.utils.multiclass import _check_partial_fit_first_call

# Names of the columns of a transformer's input, for `get_feature_names_out`. The same since 1.0. There is no public
# replacement for a transformer whose output has other columns than its input.
from sklearn.utils.validation import _check_feature_names_in

__all__ = [
    "CallbackSupportMixin",
    "FitCallback",
    "Interval",
    "InvalidParameterError",
    "Options",
    "StrOptions",
    "_check_feature_names_in",
    "_check_partial_fit_first_call",
    "_fit_context",
    "validate_parameter_constraints",
]
