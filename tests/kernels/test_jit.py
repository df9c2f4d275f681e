import sys

from tests.commands import run


def python(code):
    ended = run([sys.executable, "-c", code])
    assert ended.code == 0, ended.err
    return ended.out.strip()


def test_a_kernel_starts_without_scipy():
    code = (
        "import sys\n"
        "from mpiapps.kernels.pi import count_darts\n"
        "count_darts(0, 0, 0, 9, False)\n"
        "print('scipy.linalg' in sys.modules)\n"
    )
    assert python(code) == "False"


def test_kernels_of_a_user_call_blas():
    code = (
        "import mpiapps.kernels.jit, numba\n"
        "import numpy as np\n"
        "@numba.njit\n"
        "def f(a): return np.dot(a, a), np.cov(a, 2 * a)[0, 1]\n"
        "print(*f(np.arange(4.0)))\n"
    )
    dot, covariance = map(float, python(code).split())
    assert dot == 14
    assert abs(covariance - 10 / 3) < 1e-12
