"""Many small files as one data frame."""

import pytest

from mpiapps.base.errors import FileAccessError, InputError

ROWS = 5  # of each file


def written(directory, n, kind):
    """Write `n` files, in folders, beside a file that is not data; return the frame."""
    import pandas as pd

    frames = []
    for i in range(n):
        frame = pd.DataFrame({"x": range(i * ROWS, (i + 1) * ROWS), "name": f"f{i}"})
        place = directory / f"part={i % 2}"
        place.mkdir(exist_ok=True)
        if kind == "parquet":
            frame.to_parquet(place / f"{i:03}.parquet")
        else:
            frame.to_csv(place / f"{i:03}.csv", index=False)
        frames.append(frame)
    (directory / "_SUCCESS").touch()
    return pd.concat(frames)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("n", [1, 7])
def test_small_files_share_partitions(kind, n, tmp_path):
    from mpiapps.dask_cluster.frames import from_files

    expected = written(tmp_path, n, kind)
    options = {"columns": ["x"]} if kind == "parquet" else {"usecols": ["x"]}
    for partition_bytes, partitions in ((2**20, 1), (1, n)):
        frame = from_files(str(tmp_path), partition_bytes, **options)
        assert frame.npartitions == partitions
        result = frame.compute(scheduler="sync")
        assert list(result.columns) == ["x"]
        assert sorted(result["x"]) == sorted(expected["x"])


def test_files_have_the_types_of_the_first(tmp_path):
    from mpiapps.dask_cluster.frames import from_files

    (tmp_path / "a.csv").write_text("x,y\n1.5,2\n")
    (tmp_path / "b.csv").write_text("y,x\n4,3\n")  # whole numbers, in another order
    frame = from_files(str(tmp_path / "*.csv"))
    result = frame.compute(scheduler="sync")
    assert result["x"].tolist() == [1.5, 3.0]
    assert result["y"].tolist() == [2, 4]
    assert (frame.dtypes == result.dtypes).all()


def test_a_file_without_a_column_is_named(tmp_path):
    from mpiapps.dask_cluster.frames import from_files

    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x\n3\n")
    frame = from_files(str(tmp_path))
    with pytest.raises(InputError, match=r"b\.csv has no column y"):
        frame.compute(scheduler="sync")


def test_files_of_two_kinds_or_none_are_refused(tmp_path):
    from mpiapps.dask_cluster.frames import from_files

    with pytest.raises(InputError, match="no data files in"):
        from_files(str(tmp_path))
    with pytest.raises(FileAccessError, match=r"no\.csv"):
        from_files(str(tmp_path / "no.csv"))
    written(tmp_path, 1, "parquet")
    (tmp_path / "b.csv").write_text("x\n1\n")
    with pytest.raises(InputError, match="Parquet and other files together"):
        from_files(str(tmp_path))
