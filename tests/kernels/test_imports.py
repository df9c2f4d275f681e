import sys

from tests.commands import run

CODE = """
import sys
from mpiapps.kernels.imports import cython_routines
names = [*cython_routines("cython_blas")], [*cython_routines("cython_lapack")]
print("dgemm" in names[0], "dpotrf" in names[1], "scipy.linalg" in sys.modules)
import scipy.linalg.cython_blas
import scipy.linalg
print(scipy.linalg.cython_blas is sys.modules["scipy.linalg.cython_blas"])
print(*scipy.linalg.solve([[2.0]], [4.0]))
print([*cython_routines("cython_blas")] == names[0])
"""


def test_routines_of_scipy_without_its_package_which_imports_later():
    ended = run([sys.executable, "-c", CODE])
    assert ended.code == 0, ended.err
    assert ended.out.split() == ["True", "True", "False", "True", "2.0", "True"]
