"""Data and parameters are read correctly, or rejected with the reason."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from scipy import sparse

from mpiapps.base.errors import FileAccessError, InputError
from mpiapps.model_selection.data import BUNDLED, read_data
from mpiapps.model_selection.search_space import candidates, read_space

ROWS = np.array([[1.0, 2.0, 0.0], [3.0, 4.0, 1.0], [5.0, 6.0, 1.0]])


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_data_sets_are_read(name):
    x, y, *_ = read_data(name, "", 0)
    assert x.dtype == np.float64
    assert len(x) == len(y) > 100


def test_generated_data_depends_only_on_the_seed():
    x, y, *_ = read_data("classification:30x20", "", 4)
    again, *_ = read_data("classification:30x20", "", 4)
    other, *_ = read_data("classification:30x20", "", 5)
    assert x.shape == (30, 20)
    assert set(y) == {0, 1}
    assert np.array_equal(x, again)
    assert not np.array_equal(x, other)


@pytest.mark.parametrize("target", ["", "3", "kind"])
def test_all_file_formats_give_the_same_data(target, tmp_path):
    names = ["a", "b", "kind"]
    np.save(tmp_path / "f.npy", ROWS)
    lines = [",".join(names), *(",".join(map(str, row)) for row in ROWS)]
    (tmp_path / "f.csv").write_text("\n".join(lines))
    table = pa.table(dict(zip(names, ROWS.T, strict=True)))
    parquet.write_table(table, tmp_path / "f.parquet")
    for name in ["f.csv", "f.parquet"] + ["f.npy"] * (target != "kind"):
        x, y, *_ = read_data(str(tmp_path / name), target, 0)
        assert np.array_equal(x, ROWS[:, :2])
        assert np.array_equal(y, ROWS[:, 2])


@pytest.mark.parametrize(
    ("header", "samples"),
    [
        ("1.5,2.0,red\n", 3),
        ("5,3,4\n", 3),
        ("0,1,2\n", 2),
        ("a,2019,kind\n", 2),
        ("inf,nan,kind\n", 2),
    ],
)
def test_a_first_line_of_numbers_is_a_sample(header, samples, tmp_path):
    lines = "1.0,2.0,blue\n3.0,4.0,red\n" if "red" in header else "1,2,0\n3,4,1\n"
    (tmp_path / "f.csv").write_text(header + lines)
    x, y, *_ = read_data(str(tmp_path / "f.csv"), "3" if samples == 3 else "", 0)
    assert len(x) == len(y) == samples


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_an_index_of_pandas_is_not_a_feature(order, tmp_path, capfd):
    import pandas as pd

    frame = pd.DataFrame(ROWS, columns=["a", "b", "kind"]).iloc[order]
    frame.to_parquet(tmp_path / "f.parquet")
    frame.to_csv(tmp_path / "f.csv")
    pd.read_csv(tmp_path / "f.csv").to_csv(tmp_path / "again.csv", index=False)
    for name in ("f.parquet", "f.csv", "again.csv"):
        for target in ("", "kind"):
            x, y, *_ = read_data(str(tmp_path / name), target, 0)
            assert np.array_equal(x, ROWS[order, :2])
            assert np.array_equal(y, ROWS[order, 2])
        assert ("skipped as an index" in capfd.readouterr().err) == (
            name != "f.parquet"
        )


def test_a_first_column_with_a_name_is_a_feature(tmp_path, capfd):
    (tmp_path / "f.csv").write_text("id,a,\n0,1,2\n1,3,4\n")
    x, y, *_ = read_data(str(tmp_path / "f.csv"), "", 0)
    assert x.tolist() == [[0, 1], [1, 3]]
    assert y.tolist() == [2, 4]
    assert not capfd.readouterr().err


def test_a_target_of_lists_is_rejected(tmp_path):
    table = pa.table({"a": [1.0, 2.0], "kind": [[1, 2], [3, 4]]})
    parquet.write_table(table, tmp_path / "f.parquet")
    with pytest.raises(InputError, match="nested values"):
        read_data(str(tmp_path / "f.parquet"), "", 0)


def test_classes_may_be_strings(tmp_path):
    (tmp_path / "f.csv").write_text("kind,a\nred,1\nblue,2\n")
    x, y, *_ = read_data(str(tmp_path / "f.csv"), "kind", 0)
    assert x.tolist() == [[1], [2]]
    assert y.tolist() == ["red", "blue"]
    assert y.dtype.kind == "U"


@pytest.mark.parametrize(
    ("text", "target", "reason"),
    [
        ("a,b\nx,1\n", "", "column a holds"),
        ("a,b\n1,2\n", "c", "no column 'c'; it has a, b"),
        ("a,b\n1,2\n", "3", "no column '3'"),
        ("a\n1\n", "", "no samples with features"),
        ("a,b\n1,x\n2,\n", "", "column b, the target, has missing values"),
        ("a,b\n1,7\n2,\n", "", "column b, the target, has missing values"),
        ("", "", "cannot read"),
        ("a,b\n1,2\n1\n", "", "cannot read"),
    ],
)
def test_unusable_data_is_rejected(text, target, reason, tmp_path):
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(InputError, match=reason):
        read_data(str(tmp_path / "f.csv"), target, 0)


@pytest.mark.parametrize("name", ["olives", "x.txt"])
def test_unknown_data_is_rejected(name):
    with pytest.raises(InputError, match=name):
        read_data(name, "", 0)


@pytest.mark.parametrize("name", ["no.npy", "no.csv", "no.parquet"])
def test_a_missing_file_is_reported(name):
    with pytest.raises(FileAccessError, match=f"^cannot read {name}: No such file or"):
        read_data(name, "", 0)


@pytest.mark.parametrize("content", [b"", None])
def test_an_array_without_samples_is_rejected(content, tmp_path):
    file = tmp_path / "f.npy"
    np.save(file, np.empty((0, 0))) if content is None else file.write_bytes(content)
    with pytest.raises(InputError, match=r"f\.npy"):
        read_data(str(file), "", 0)


@pytest.mark.parametrize("gaps", [["x", None, "y"], [True, None, False]])
def test_classes_with_missing_values_are_rejected(gaps, tmp_path):
    table = pa.table({"a": [1.0, 2.0, 3.0], "kind": gaps})
    parquet.write_table(table, tmp_path / "f.parquet")
    with pytest.raises(InputError, match="column kind, the target, has missing values"):
        read_data(str(tmp_path / "f.parquet"), "", 0)


def test_objects_in_a_file_are_not_loaded(tmp_path):
    np.save(tmp_path / "f.npy", np.array([[object()]]), allow_pickle=True)
    with pytest.raises(InputError, match="cannot read"):
        read_data(str(tmp_path / "f.npy"), "", 0)


SPACE = """
[fixed]
n_estimators = 7
[search]
max_depth = [3, 5]
min_samples_leaf = {low = 1, high = 3}
learning_rate = {low = 1e-3, high = 1.0, log = true}
share = {low = 0.5, high = 0.6}
trees = {low = 1, high = 1000, log = true}
"""


def test_candidates_are_sampled_from_the_file(tmp_path):
    (tmp_path / "space.toml").write_text(SPACE)
    tried = candidates(*read_space(str(tmp_path / "space.toml")), 200, 1)
    assert len(tried) == 200
    assert {candidate["n_estimators"] for candidate in tried} == {7}
    assert {candidate["max_depth"] for candidate in tried} == {3, 5}
    assert {candidate["min_samples_leaf"] for candidate in tried} == {1, 2, 3}
    rates = np.array([candidate["learning_rate"] for candidate in tried])
    assert 1e-3 <= rates.min() < 0.01
    assert 0.2 < np.mean(rates < 0.0316) - 0.2 < 0.4
    trees = [candidate["trees"] for candidate in tried]
    assert {type(candidate) for candidate in trees} == {int}
    assert 1 <= min(trees) <= 4
    assert 300 <= max(trees) <= 1000
    assert 20 < sum(candidate < 10 for candidate in trees) < 100
    assert all(0.5 <= candidate["share"] <= 0.6 for candidate in tried)
    assert all(
        type(v) in {int, float} for candidate in tried for v in candidate.values()
    )


def test_a_small_grid_is_tried_once():
    tried = candidates({}, [{"a": [1, 2], "b": ["x", "y"]}], 20, 0)
    assert len(tried) == 4
    assert candidates({"a": 1}, [], 20, 0) == [{"a": 1}]


LITERALS = """
[fixed]
splitter = {literal = "None"}
steps = {inner = [{literal = "(1, 2)"}]}
[[search]]
class_weight = [{literal = "None"}, {literal = "{0: 1, 1: 5}"}, "balanced"]
[[search]]
hidden = [{literal = "(10, 5)"}]
other = ["x", "y"]
"""


def test_a_space_may_be_a_list_with_python_literals(tmp_path):
    (tmp_path / "space.toml").write_text(LITERALS)
    tried = candidates(*read_space(str(tmp_path / "space.toml")), 20, 0)
    fixed = {"splitter": None, "steps": {"inner": [(1, 2)]}}
    assert tried == [
        {**fixed, "class_weight": None},
        {**fixed, "class_weight": {0: 1, 1: 5}},
        {**fixed, "class_weight": "balanced"},
        {**fixed, "hidden": (10, 5), "other": "x"},
        {**fixed, "hidden": (10, 5), "other": "y"},
    ]
    assert len(candidates(*read_space(str(tmp_path / "space.toml")), 3, 0)) == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x", "cannot read"),
        ("search = [3]", "only the tables"),
        ("[search]\na = [{literal = 'open(1)'}]", "Python literal"),
        ("[fixed]\na = {literal = 3}", "Python literal"),
        ("[fixed]\na = {literal = '('}", "Python literal"),
        ("[other]\na = 1", "only the tables"),
        ("search = 3", "only the tables"),
        ("[search]\na = []", "a = "),
        ("[search]\na = {low = 2, high = 1}", "low below high"),
        ("[search]\na = {low = 0, high = 1, log = true}", "low above 0"),
        ("[search]\na = {low = 0}", "expected a list"),
        ("[search]\na = {low = 'x', high = 'y'}", "expected a list"),
    ],
)
def test_an_invalid_space_is_rejected(text, reason, tmp_path):
    (tmp_path / "space.toml").write_text(text)
    with pytest.raises(InputError, match=reason):
        read_space(str(tmp_path / "space.toml"))


def test_groups_and_weights_are_not_features(tmp_path):
    lines = "site,a,w,kind\nnorth,1,0.5,red\nsouth,2,1,blue\nnorth,3,0,red\n"
    (tmp_path / "f.csv").write_text(lines)
    name = str(tmp_path / "f.csv")
    x, y, groups, weights = read_data(name, "", 0, "site", "3")
    assert x.tolist() == [[1], [2], [3]]
    assert y.tolist() == ["red", "blue", "red"]
    assert groups.tolist() == ["north", "south", "north"]
    assert weights.tolist() == [0.5, 1, 0]


def test_the_last_column_that_is_left_is_the_target(tmp_path):
    (tmp_path / "f.csv").write_text("a,b,group\n1,2,3\n4,5,6\n")
    x, y, groups, _ = read_data(str(tmp_path / "f.csv"), "", 0, "group")
    assert (x.tolist(), y.tolist(), groups.tolist()) == ([[1], [4]], [2, 5], [3, 6])


@pytest.mark.parametrize("name", ["classification:30x20", "f.npy"])
def test_values_of_samples_may_be_in_their_own_files(name, tmp_path):
    if name == "f.npy":
        name = str(tmp_path / name)
        np.save(name, np.ones((30, 4)))
    labels = np.array(["red", "blue", "red"] * 10)
    np.save(tmp_path / "kind.npy", labels)
    np.save(tmp_path / "w.npy", np.arange(30))
    target, weight = str(tmp_path / "kind.npy"), str(tmp_path / "w.npy")
    x, y, groups, weights = read_data(name, target, 0, target, weight)
    assert y.tolist() == groups.tolist() == labels.tolist()
    assert weights.tolist() == list(range(30))
    assert len(x) == 30


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8])
def test_sparse_samples_are_read(dtype, tmp_path):
    matrix = sparse.csr_array(ROWS.astype(dtype))
    sparse.save_npz(tmp_path / "f.npz", matrix)
    x, y, groups, _ = read_data(str(tmp_path / "f.npz"), "", 0, "2")
    assert sparse.issparse(x)
    assert x.toarray().tolist() == ROWS[:, :1].tolist()
    assert y.tolist() == [0, 1, 1]
    assert groups.tolist() == [2, 4, 6]
    assert x.dtype == (np.float32 if dtype == np.float32 else np.float64)


@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_float32_is_kept(kind, tmp_path):
    rows = ROWS.astype(np.float32)
    name = str(tmp_path / f"f.{kind}")
    if kind == "npy":
        np.save(name, rows)
    else:
        parquet.write_table(pa.table(dict(zip("abc", rows.T, strict=True))), name)
    assert read_data(name, "", 0).x.dtype == np.float32


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1, -1], "-1.0 is not a finite number"),
        ([1, float("inf")], "inf is not a finite number"),
        ([1, float("nan")], "the weights, has missing values"),
        (["a", "b"], "--weights: expected numbers"),
        ([1], r"has the shape \(1,\): expected \(2,\)"),
        ([[1, 2]], "has the shape"),
    ],
)
def test_invalid_weights_are_rejected(values, reason, tmp_path):
    (tmp_path / "f.csv").write_text("a,b\n1,2\n3,4\n")
    np.save(tmp_path / "w.npy", values)
    with pytest.raises(InputError, match=reason):
        read_data(str(tmp_path / "f.csv"), "", 0, "", str(tmp_path / "w.npy"))


def test_a_column_has_one_use(tmp_path):
    (tmp_path / "f.csv").write_text("a,b,c\n1,2,3\n3,4,5\n")
    with pytest.raises(InputError, match="column b has two uses"):
        read_data(str(tmp_path / "f.csv"), "b", 0, "2")


@pytest.mark.parametrize("content", ["text", "dense", "objects"])
def test_other_npz_files_are_rejected(content, tmp_path):
    file = tmp_path / "f.npz"
    if content == "text":
        file.write_text("a,b")
    elif content == "dense":
        np.savez(file, x=ROWS)
    else:
        np.savez(file, format=np.array([object()]), allow_pickle=True)
    with pytest.raises(InputError, match=r"cannot read .*f\.npz.*save_npz"):
        read_data(str(file), "", 0)


@pytest.mark.parametrize("target", ["a,c", "1, 3", "y.npy"])
def test_several_targets_are_read(target, tmp_path):
    (tmp_path / "f.csv").write_text("a,b,c\n1,2,3\n4,5,6\n")
    if target == "y.npy":
        (tmp_path / "f.csv").write_text("a,b\n2,2\n5,5\n")
        target = str(tmp_path / target)
        np.save(target, [[1, 3], [4, 6]])
    x, y, *_ = read_data(str(tmp_path / "f.csv"), target, 0)
    assert y.tolist() == [[1, 3], [4, 6]]
    assert x[:, 0].tolist() == [2, 5]


def test_a_comma_may_be_part_of_a_name(tmp_path):
    (tmp_path / "f.csv").write_text('"a,c",a,c\n1,2,3\n4,5,6\n')
    x, y, *_ = read_data(str(tmp_path / "f.csv"), "a,c", 0)
    assert (x.tolist(), y.tolist()) == ([[2, 3], [5, 6]], [1, 4])


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("a,d", "some targets are numbers and others texts"),
        ("a,", "--target a,: expected columns with commas between"),
        ("a,a", "column a has two uses"),
        ("a,x", "no column 'x'"),
        ("a,e", "column e, the target, has missing values"),
        ("y.npy", r"has the shape \(2, 1, 1\)"),
    ],
)
def test_unusable_targets_are_rejected(target, reason, tmp_path):
    (tmp_path / "f.csv").write_text("a,b,d,e\n1,2,red,1\n4,5,blue,\n")
    if target == "y.npy":
        target = str(tmp_path / target)
        np.save(target, np.ones((2, 1, 1)))
    with pytest.raises(InputError, match=reason):
        read_data(str(tmp_path / "f.csv"), target, 0)
