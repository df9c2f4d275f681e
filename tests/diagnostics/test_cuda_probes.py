"""Hosts with CUDA devices, made by a driver library that variables describe."""

import json

import pytest

from mpiapps.device import driver
from mpiapps.device.driver import query
from mpiapps.diagnostics.examine import examine, from_dict
from mpiapps.diagnostics.probe import NotApplicable
from mpiapps.diagnostics.ranks import HOST_LIMIT
from mpiapps.diagnostics.report import as_json, as_text
from mpiapps.diagnostics.system import System
from tests.device import driver_library
from tests.diagnostics.systems import OPENMPI, finding, findings, probe, write

pytestmark = pytest.mark.processes
SITE = "modules/of/cupy"


def host(**variables):
    return {"environ": driver_library.host(**variables)}


@pytest.fixture
def root(tmp_path):
    """Return the files of a host with two GPUs and their driver."""
    for number in range(2):
        write(tmp_path, f"/dev/nvidia{number}", "")
        write(tmp_path, f"/proc/driver/nvidia/gpus/0000:0{number}:00.0/information", "")
    version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar 5\n"
    write(tmp_path, "/proc/driver/nvidia/version", version)
    return tmp_path


def test_devices_and_driver_are_stated(root):
    found, facts = probe("cuda-devices").observe(System(root=root, **host()))
    assert found == []
    assert facts == [
        "2 x NVIDIA H100 (80 GiB, compute capability 9.0)",
        "driver 550.54.15, for CUDA up to 12.4",
    ]
    text = as_text(examine([probe("cuda-devices")], System(root=root, **host())))
    assert text.startswith("cuda-devices: 2 x NVIDIA H100")
    assert "no findings" in text


@pytest.mark.parametrize("name", ["cuda-devices", "cuda-packages", "cuda-mpi"])
@pytest.mark.parametrize("has_library", [False, True])
def test_a_host_without_devices_says_so(tmp_path, name, has_library):
    """No driver library, and one without a device: a login node."""
    absent = driver_library.absent()
    environ = driver_library.host(DEVICES=0) if has_library else absent
    with pytest.raises(
        NotApplicable, match=r"^no CUDA device: .*(libcuda|no CUDA-cap)"
    ):
        probe(name)(System(environ=environ, root=tmp_path))


def test_a_driver_that_crashes_is_not_the_end_of_its_caller():
    assert "has ended its process" in query(driver_library.host(FAIL=-1)).error


def test_a_driver_that_does_not_start(root):
    found = finding("cuda-devices", root=root, **host(FAIL=803))
    assert found.found == "libcuda.so.1: CUDA error 803: system not ready"
    assert "restart" in found.remedy


def test_a_job_without_devices_on_a_host_that_has_some(root):
    """The control group forbids them, and the driver reports that there are none."""
    assert findings("cuda-devices", root=root, **host(FAIL=100)) == []


def test_a_container_without_nv(root):
    for number in range(2):
        (root / f"dev/nvidia{number}").unlink()
    for environ in (driver_library.absent(), driver_library.host(FAIL=100)):
        found = finding("cuda-devices", root=root, environ=environ)
        assert found.found == "the kernel has 2 GPU(s), and /dev has no nvidia0"
        assert "apptainer exec --nv" in found.remedy


def test_an_image_with_a_driver_library_and_no_device(tmp_path):
    write(tmp_path, "/.singularity.d/runscript", "")
    found = finding("cuda-devices", root=tmp_path, **host(FAIL=100))
    assert found.found.startswith("libcuda.so.1 is installed")
    assert "--gpus all" in found.remedy


def test_a_device_without_the_driver_library(root):
    found = finding("cuda-devices", root=root, environ=driver_library.absent())
    assert "nvidia" in found.found
    assert "libcuda.so.1" in found.found
    assert "LD_LIBRARY_PATH" in found.remedy


@pytest.mark.parametrize(
    ("value", "grade", "text"),
    [
        ("", "warning", "is empty, and the host has 2 device(s)"),
        ("0,2", "error", "=0,2: 1 of 2 exist; the host has 2 device(s)"),
        ("7", "error", "=7: 0 of 1 exist"),
        ("-1", "warning", "=-1, and the host has 2 device(s)"),
        ("NoDevFiles", "warning", "=NoDevFiles, and the host has 2 device(s)"),
    ],
)
def test_visible_devices_that_do_not_exist(root, value, grade, text):
    found = finding("cuda-devices", root=root, **host(CUDA_VISIBLE_DEVICES=value))
    assert found.grade == grade
    assert text in found.found
    assert "--gpus 1" in found.remedy
    for good in ("0", "1,0", "MIG-a,MIG-b"):
        environ = host(CUDA_VISIBLE_DEVICES=good)
        assert findings("cuda-devices", root=root, **environ) == []


def test_more_ranks_than_devices_of_one_process(root):
    exclusive = host(MODE=3)
    found = finding("cuda-devices", root=root, ntasks=4, **exclusive)
    assert found.found == "2 device(s) in exclusive-process mode for 4 ranks"
    assert "--gpu-mps" in found.remedy
    assert findings("cuda-devices", root=root, ntasks=2, **exclusive) == []
    assert findings("cuda-devices", root=root, ntasks=4, **host()) == []
    write(root, "/tmp/nvidia-mps/control", "")
    assert findings("cuda-devices", root=root, ntasks=4, **exclusive) == []


def packages(prefix, *names, toolkit=""):
    for name in names:
        package, _, version = name.partition("-")
        metadata = f"Name: {package}\nVersion: {version}\n"
        write(prefix, f"{SITE}/{name}.dist-info/METADATA", metadata)
    if toolkit:
        write(prefix, f"/usr/local/cuda/lib64/libnvrtc.so.{toolkit}", "")
    # The directory need not be below the prefix: PYTHONPATH, a user's packages
    paths = {"prefix": prefix / "python", "module_path": [str(prefix / SITE)]}
    return {**paths, "root": prefix}


CUPY12, CUPY13 = "cupy_cuda12x-13.6.0", "cupy_cuda13x-14.2.0"


BOTH = (CUPY12, CUPY13)
UNFIT = [  # packages, toolkit, driver; finding; remedy
    (CUPY13, "13.0.48", 12040, "needs a driver for CUDA 13", "cupy-cuda12x[ctk]"),
    (CUPY12, "13.0.48", 13000, "toolkit is of CUDA 13.0", "cupy-cuda13x"),
    (CUPY12, "", 12040, "no libnvrtc.so", "cupy-cuda12x[ctk]"),
    (BOTH, "12.4", 12040, "2 packages", "uninstall -y cupy-cuda12x cupy-cuda13x"),
    (CUPY12, "12.8.61", 12040, "driver supports up to 12.4", "up to 12.4"),
    ((), "13.0.48", 12040, "driver supports up to 12.4", "up to 12.4"),
]


@pytest.mark.parametrize("case", UNFIT, ids=lambda case: case[3])
def test_packages_that_do_not_fit(tmp_path, case):
    names, toolkit, driver, text, remedy = case
    names = (names,) if isinstance(names, str) else names
    installed = packages(tmp_path, *names, toolkit=toolkit)
    found = finding("cuda-packages", **installed, **host(DRIVER=driver))
    assert text in found.found
    assert remedy in found.remedy


def test_packages_that_fit_are_stated(tmp_path):
    names = (CUPY12, "cupy_xarray-0.1", "numba_cuda-0.30.4")
    system = System(**packages(tmp_path, *names, toolkit="12.4.127"), **host())
    found, facts = probe("cuda-packages").observe(system)
    assert found == []
    assert facts == [
        "CuPy: cupy-cuda12x 13.6.0",
        "CUDA target of numba: numba-cuda 0.30.4",
        "toolkit: 12.4",
    ]
    write(tmp_path, f"{SITE}/numba/cuda/__init__.py", "")
    (tmp_path / SITE / "numba_cuda-0.30.4.dist-info").rename(tmp_path / "gone")
    assert probe("cuda-packages").observe(system)[1][1].endswith("built into numba")


def test_messages_of_device_buffers_are_tried_if_cupy_is_installed(tmp_path):
    environ = driver_library.host(PYTHONPATH=tmp_path / "modules")
    with pytest.raises(NotApplicable, match="CuPy is not installed"):
        probe("cuda-mpi")(System(environ=environ, module_path=()))
    write(tmp_path, "modules/cupy.py", "raise ImportError('no x')")
    system = System(environ=environ, library=OPENMPI, **packages(tmp_path, CUPY12))
    found, facts = probe("cuda-mpi").observe(system)
    assert found == []
    assert facts == [
        "Open MPI 5.0.11: device buffers were not tried: CuPy cannot be imported: no x"
    ]


def test_parts_of_a_probe_have_the_time_that_they_may_take():
    limits = {name: probe(name).limit for name in ("cuda-devices", "cuda-mpi")}
    from mpiapps.diagnostics.probes.cuda import TRIAL_LIMIT

    assert 2 * driver.LIMIT < limits["cuda-devices"] < HOST_LIMIT
    assert driver.LIMIT + TRIAL_LIMIT < limits["cuda-mpi"] < HOST_LIMIT


def test_the_record_keeps_facts(root):
    (examination,) = examine([probe("cuda-devices")], System(root=root, **host()))
    record = json.loads(as_json([examination], {}))["probes"][0]
    assert from_dict(record) == examination
    assert "compute capability 9.0" in record["facts"][0]
