"""Data sets of trips, as data: which columns of a file are tip, fare and payment."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mpiapps.base.errors import InputError

AUTO = "auto"
BUILTIN = Path(__file__).with_name("datasets.toml")


@dataclass(frozen=True)
class Dataset:
    """A data set: the names of its columns in any month; see ``datasets.toml``."""

    name: str
    tip: tuple[str, ...]
    fare: tuple[str, ...]
    payment: tuple[str, ...] = ()
    by_card: tuple[int | str, ...] = (1,)
    identified_by: tuple[str, ...] = ()
    tip_unit: float = 1.0
    fare_unit: float = 1.0


@dataclass(frozen=True)
class Columns:
    """The columns of one file.

    Attributes
    ----------
    dataset, tip, fare : str
    payment : str
        Empty: there is no such column, and `all_by_card` holds for the file.
    by_card : tuple of int or str
        Values of `payment`.
    all_by_card : bool
    tip_unit, fare_unit : float
    """

    dataset: str
    tip: str
    fare: str
    payment: str = ""
    by_card: tuple[int | str, ...] = ()
    all_by_card: bool = True
    tip_unit: float = 1.0
    fare_unit: float = 1.0

    @property
    def codes(self) -> list[int]:
        """The numbers among `by_card`."""
        return [value for value in self.by_card if isinstance(value, int)]

    @property
    def texts(self) -> list[str]:
        """The texts among `by_card`."""
        return [value for value in self.by_card if isinstance(value, str)]

    def names(self) -> list[str]:
        """Return the columns to read."""
        return [self.tip, self.fare, *filter(None, [self.payment])]


def read_datasets(choice: str = AUTO) -> tuple[Dataset, ...]:
    """Return the data sets that a file may belong to.

    Parameters
    ----------
    choice : str
        ``auto`` for all of the package, the name of one, or a TOML file of others.

    Raises
    ------
    InputError
        If there is no such data set or file, or the file is not like
        ``datasets.toml``.
    """
    builtin = _parse(BUILTIN)
    if choice == AUTO:
        return builtin
    if chosen := tuple(dataset for dataset in builtin if dataset.name == choice):
        return chosen
    if not choice.endswith(".toml"):
        names = ", ".join([AUTO, *(dataset.name for dataset in builtin)])
        raise InputError(f"--dataset {choice}: expected {names}, or a .toml file")
    return _parse(Path(choice))


def _parse(path: Path) -> tuple[Dataset, ...]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        datasets = tuple(_dataset(name, table) for name, table in tables.items())
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"cannot read data sets of {path}: {error}") from error
    if not datasets:
        raise InputError(f"{path} has no data set; expected tables such as [yellow]")
    return datasets


def _dataset(name: str, table: Mapping[str, Any]) -> Dataset:
    known = {field.name for field in dataclasses.fields(Dataset)} - {"name"}
    if unknown := table.keys() - known:
        raise ValueError(f"[{name}] {sorted(unknown)[0]}: expected {sorted(known)}")
    if missing := {"tip", "fare"} - table.keys():
        raise ValueError(f"[{name}] has no {sorted(missing)[0]}")
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key.endswith("_unit"):
            values[key] = float(value)
            continue
        values[key] = tuple(value if isinstance(value, list) else [value])
        if key != "by_card" and not all(isinstance(item, str) for item in values[key]):
            raise ValueError(f"[{name}] {key} = {value!r}: expected names of columns")
    return Dataset(name, **values)


def find_columns(
    path: str, present: Collection[str], datasets: Collection[Dataset]
) -> Columns:
    """Return the columns of a file.

    Parameters
    ----------
    path : str
        Folders such as ``payment_type=1`` are columns of one value.
    present : collection of str
        The columns in the file.
    datasets : collection of Dataset

    Raises
    ------
    InputError
        If the file has not all columns of any data set.
    """
    folders = partition_values(path)
    fitting = [
        (dataset, columns)
        for dataset in datasets
        if (columns := _match(dataset, present, folders)) is not None
    ]
    for dataset, columns in fitting:
        if not set(present).isdisjoint(dataset.identified_by):
            return columns
    if fitting:
        return fitting[0][1]
    expected = "; ".join(
        f"{dataset.name}: " + ", ".join(
            names[0] for names in (dataset.tip, dataset.fare, dataset.payment) if names
        )
        for dataset in datasets
    )  # fmt: skip
    raise InputError(
        f"{path} does not have the columns of a data set ({expected}); describe others"
        " in a file for --dataset FILE.toml"
    )


def _match(
    dataset: Dataset, present: Collection[str], folders: Mapping[str, str]
) -> Columns | None:
    """Return the columns if all are present."""

    def first(names: Collection[str], among: Collection[str]) -> str:
        return next((name for name in names if name in among), "")

    tip, fare = first(dataset.tip, present), first(dataset.fare, present)
    if not (tip and fare):
        return None
    found = Columns(
        dataset.name, tip, fare,
        tip_unit=dataset.tip_unit, fare_unit=dataset.fare_unit,
    )  # fmt: skip
    if not dataset.payment:
        return found
    if payment := first(dataset.payment, present):
        by_card = dataset.by_card
        return dataclasses.replace(
            found, payment=payment, by_card=by_card, all_by_card=False
        )
    if folder := first(dataset.payment, folders):
        card = folders[folder] in {str(value) for value in dataset.by_card}
        return dataclasses.replace(found, all_by_card=card)
    return None


def partition_values(path: str) -> dict[str, str]:
    """Return the values of partitioned folders in a path, as Hive and Spark write."""
    pairs = (part.partition("=") for part in Path(path).parent.parts)
    return {name: unquote(value) for name, equals, value in pairs if name and equals}
