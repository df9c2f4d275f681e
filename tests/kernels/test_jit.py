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


def test_kernels_use_the_widest_vectors_of_the_host():
    code = (
        "import mpiapps.kernels.jit, numba\n"
        "from numba.core.codegen import get_host_cpu_features\n"
        "@numba.njit('i8(i8[::1])')\n"
        "def total(a):\n"
        "    s = 0\n"
        "    for x in a: s += x\n"
        "    return s\n"
        "print('+avx512f' in get_host_cpu_features())\n"
        "print('zmm' in ''.join(total.inspect_asm().values()))\n"
    )
    has_wide_vectors, uses_them = python(code).split()
    assert has_wide_vectors == uses_them
