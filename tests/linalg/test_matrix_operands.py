"""An array where a distributed matrix is expected: the remedy, no `AttributeError`."""

from types import SimpleNamespace

import numpy as np
import pytest

from mpiapps.linalg.cholesky import cholesky
from mpiapps.linalg.condition import condition
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.eigh import eigh, eigvalsh
from mpiapps.linalg.eigsh import eigsh
from mpiapps.linalg.files import write
from mpiapps.linalg.hdf5 import write_hdf5
from mpiapps.linalg.lstsq import lstsq
from mpiapps.linalg.lu import lu
from mpiapps.linalg.matvec import matvec, vecmat
from mpiapps.linalg.moments import mean, std, var
from mpiapps.linalg.multiply import gram, multiply
from mpiapps.linalg.npy import write_npy
from mpiapps.linalg.reductions import (
    col_sums,
    diagonal,
    norm,
    row_sums,
    total,
    trace,
)
from mpiapps.linalg.solve import factorise, inverse, solve
from mpiapps.linalg.svd import singular_values, svd
from mpiapps.linalg.svds import svds
from mpiapps.linalg.trsm import solve_triangular
from mpiapps.linalg.tsqr import qr, r_of_qr

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]

OF_ONE = [
    *(cholesky, condition, eigh, eigsh, eigvalsh, factorise, gram, inverse, lu, qr),
    *(r_of_qr, svd, svds, singular_values, norm, trace, diagonal),
    *(row_sums, col_sums, total, mean, std, var),
]
OF_TWO = [lstsq, matvec, multiply, solve, solve_triangular]
WRITERS = [write, write_hdf5, write_npy]
ARRAYS = [np.eye(3), np.eye(3).tolist(), None, SimpleNamespace(shape=(3, 3))]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("function", OF_ONE + OF_TWO, ids=lambda f: f.__name__)
def test_an_array_as_first_operand_is_explained(comm, function, array):
    others = [DistMatrix.eye(comm, 3)] if function in OF_TWO else []
    expected = (
        f"{function.__name__}: a is a {type(array).__name__}; expected a DistMatrix.*"
        r"DistMatrix\.from_all\(comm, array\)"
    )
    with pytest.raises(TypeError, match=expected):
        function(array, *others)
    if not others:
        with pytest.raises(TypeError, match=expected):
            function(a=array)


def test_an_array_as_last_operand_is_explained(tmp_path):
    for function in WRITERS:
        with pytest.raises(TypeError, match=r"a is a ndarray; expected a DistMatrix"):
            function(str(tmp_path / "a.npy"), np.eye(3))
    with pytest.raises(TypeError, match="vecmat: a is a ndarray; expected"):
        vecmat(np.ones(3), np.eye(3))


@pytest.mark.parametrize("factors", [np.eye(3), (np.eye(3), [0, 1, 2])], ids=type)
def test_factors_of_other_libraries_are_refused(comm, factors):
    a = DistMatrix.eye(comm, 3)
    expected = rf"factors is a {type(factors).__name__}; expected factorise\(A\)"
    for call in (
        lambda: solve(a, a, factors=factors),
        lambda: inverse(a, factors=factors),
    ):
        with pytest.raises(TypeError, match=expected):
            call()


def test_a_missing_operand_is_reported_as_by_python():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        inverse()
