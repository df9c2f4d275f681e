"""Trips of several data sets, of months that differ, and in partitioned folders."""

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from mpiapps.base.errors import InputError
from mpiapps.taxi_tips.datasets import find_columns, partition_values, read_datasets
from mpiapps.taxi_tips.reader import TripsFile
from tests.commands import on_ranks

pytestmark = pytest.mark.usefixtures("preloaded")

PERCENTS = {  # of the trips by card in each file
    "yellow-2009.parquet": [10.0, 30.0],
    "yellow-2010.parquet": [12.0, 100.0],
    "yellow-2024.parquet": [20.0, 20.0, 120.0],
    "green.parquet": [50.0],
    "rides.parquet": [1.0, 99.0, 0.0],
    "by/payment_type=1/part-0.parquet": [40.0],
    "by/payment_type=2/part-0.parquet": [],
}


def tables():
    """Return a table for each file of `PERCENTS`."""
    fares = pa.array([10.0, 20.0])
    decimal = pa.array([1.2, 0.0, 20.0]).cast(pa.decimal128(8, 2))
    cards = pa.array(["CRD", "CAS", "Cre"]).dictionary_encode()
    return [
        pa.table({"Tip_Amt": [1.0, 6.0], "Fare_Amt": fares,
                  "Payment_Type": ["Credit", "CREDIT"]}),
        pa.table({"tip_amount": decimal, "fare_amount": [10, 5, 20],
                  "payment_type": cards}),
        pa.table({"payment_type": [1, 1, 2, 1, None], "fare_amount": [5, 10, 5, 5, 5.0],
                  "tip_amount": [1, 2, 1, 6, 1.0], "tpep_pickup_datetime": [0] * 5}),
        pa.table({"Tip_amount": [5.0], "Fare_amount": [10.0], "Payment_type": [1.0],
                  "lpep_pickup_datetime": [0]}),
        pa.table({"tips": [0.1, 9.9, 0.0], "base_passenger_fare": [10.0, 10, 10]}),
        pa.table({"tip_amount": [4.0], "fare_amount": [10.0]}),
        pa.table({"tip_amount": [4.0], "fare_amount": [10.0]}),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    place = tmp_path_factory.mktemp("sets")
    for name, table in zip(PERCENTS, tables(), strict=True):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, place / name, row_group_size=2)
    return place


@pytest.mark.parametrize(("engine", "size"), [("mpi", 2), ("dask", 2), ("polars", 3)])
def test_each_engine_counts_files_of_all_data_sets(engine, size, directory):
    words = ("--engine", engine, "--bins", "10", "--json", "-")
    done = on_ranks("openmpi", size, "-m", "mpiapps.tips", str(directory), *words)
    assert done.code == 0, done.err
    values = json.loads(done.out)["values"]
    for file, counts, mean in zip(
        values["files"], values["file_counts"], values["file_means"], strict=True
    ):
        percents = PERCENTS[file.removeprefix(f"{directory}/")]
        assert counts == np.histogram(percents, 10, (0, 100))[0].tolist(), file
        assert mean == (pytest.approx(np.mean(percents)) if percents else None)
    assert values["trips"] == sum(map(len, PERCENTS.values()))
    assert values["outside"] == 1


def test_the_data_set_of_each_file_is_found(directory):
    sets = read_datasets()
    found = [
        TripsFile(str(directory / name), sets).columns.dataset for name in PERCENTS
    ]
    assert found == ["yellow"] * 3 + ["green", "ride-share", "yellow", "yellow"]


OTHER = """
[chicago]
tip = "Tips"
fare = ["Fare"]
payment = "Payment Type"
by_card = ["Credit Card", "Mobile"]
fare_unit = 0.01
"""


def test_other_data_sets_have_columns_codes_and_units_of_their_own(tmp_path):
    (tmp_path / "other.toml").write_text(OTHER)
    paid = ["Credit Card", "Cash", "Mobile", None]
    table = pa.table({"Tips": [1.0, 2, 3, 4], "Fare": [1000, 2000, 3000, 4000],
                      "Payment Type": pa.array(paid, pa.large_string())})  # fmt: skip
    parquet.write_table(table, tmp_path / "x.parquet")
    sets = read_datasets(str(tmp_path / "other.toml"))
    tips, fares, payments = TripsFile(str(tmp_path / "x.parquet"), sets).read(0)
    assert tips.tolist() == [1, 2, 3, 4]
    assert fares.tolist() == [10, 20, 30, 40]
    assert (payments == 1).tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]\ntip = 'x'\n", "has no fare"),
        ("[a]\ntip = 'x'\nfare = 1\n", "expected names of columns"),
        ("[a]\ntip = 'x'\nfare = 'y'\nbycard = [1]\n", "bycard: expected"),
        ("a = 1\n", "cannot read data sets"),
        ("= 1\n", "cannot read data sets"),
        ("", "has no data set"),
    ],
)
def test_a_wrong_description_is_refused(text, message, tmp_path):
    (tmp_path / "sets.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_datasets(str(tmp_path / "sets.toml"))


def test_an_unknown_data_set_is_refused_with_the_known_ones():
    with pytest.raises(
        InputError, match="expected auto, yellow, green, ride-share, or"
    ):
        read_datasets("red")
    assert [dataset.name for dataset in read_datasets("green")] == ["green"]


def test_a_file_of_no_data_set_is_refused():
    with pytest.raises(InputError, match=r"x does not have .* ride-share: tips"):
        find_columns("x", ["tip_amount", "fare_amount"], read_datasets())


def test_folders_are_columns():
    found = partition_values("/d/year=2024/payment_type=No%20Charge/a=b.parquet")
    assert found == {"year": "2024", "payment_type": "No Charge"}
