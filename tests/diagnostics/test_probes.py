"""Each broken environment is made, and found with its remedy; a good one is not."""

import os
import socket

import pytest

from mpiapps.diagnostics.library import MpiLibrary
from mpiapps.diagnostics.probe import NotApplicable
from mpiapps.diagnostics.system import System
from tests.commands import ROOT
from tests.diagnostics.systems import (
    IMPI,
    MPICH,
    OPENMPI,
    command,
    finding,
    findings,
    probe,
    write,
)

SLURM = {"SLURM_JOB_ID": "7"}
SITE = "lib/python3.11/site-packages"


def test_no_mpi_library_names_the_paths_and_the_extras():
    error = "RuntimeError: cannot load MPI library\n/v/lib/libmpi.so: cannot open\n"
    found = finding("mpi-library", library=MpiLibrary(error=error))
    assert found.grade == "error"
    assert "/v/lib/libmpi.so" in found.found
    assert "mpiapps[mpich]" in found.remedy
    assert "MPI4PY_LIBMPI" in found.remedy
    assert findings("mpi-library") == []


def wheel(prefix, tag, soname=b"", dummy="mpich"):
    """Make an environment with an mpi4py of this tag that links to a library."""
    write(
        prefix,
        f"{SITE}/mpi4py-4.1.2.dist-info/WHEEL",
        f"Wheel-Version: 1\nTag: {tag}\n",
    )
    write(prefix, f"{SITE}/{dummy}-1.dist-info/METADATA", "")
    module = write(prefix, f"{SITE}/mpi4py/MPI.cpython-311.so", "")
    module.write_bytes(b"\x7fELF\0" + soname + b"\0")
    return prefix


LOCAL, REGISTRY = "cp311-cp311-linux_x86_64", "cp311-cp311-manylinux_2_17_x86_64"


def test_a_cached_wheel_of_another_mpi(tmp_path):
    prefix = wheel(tmp_path, LOCAL, b"libmpi.so.40")
    for library in (MPICH, MpiLibrary(error="ImportError: libmpi.so.40: not found")):
        found = finding("mpi4py-build", prefix=prefix, library=library)
        assert "Open MPI" in found.found
        assert "pip cache remove mpi4py" in found.remedy
    assert findings("mpi4py-build", prefix=prefix, library=OPENMPI) == []


def test_a_wheel_of_the_registry_supports_each_mpi(tmp_path):
    prefix = wheel(tmp_path, REGISTRY, b"libmpi.so.40")
    assert findings("mpi4py-build", prefix=prefix, library=MPICH) == []


def test_an_undefined_symbol_is_a_build_for_another_mpi(tmp_path):
    error = "ImportError: MPI.so: undefined symbol: ompi_mpi_comm_world"
    library = MpiLibrary(error=error)
    found = finding("mpi4py-build", prefix=wheel(tmp_path, LOCAL), library=library)
    assert "ompi_mpi_comm_world" in found.found
    assert "--no-cache-dir" in found.remedy
    assert findings("mpi-library", library=library) == []


def test_a_library_path_with_another_mpi(tmp_path):
    other = write(tmp_path, "old/libmpi.so.12", "")
    environ = {"LD_LIBRARY_PATH": f"{tmp_path}/none:{other.parent}"}
    found = finding("library-path", environ=environ)
    assert str(other) in found.found
    assert f"remove {other.parent}" in found.remedy
    own = MpiLibrary("MPICH", "5", str(other))
    assert findings("library-path", environ=environ, library=own) == []
    found = finding("library-path", environ={"MPI4PY_LIBMPI": "/no/libmpi.so"})
    assert (found.grade, found.remedy) == ("error", "unset MPI4PY_LIBMPI")


HYDRA = "echo 'HYDRA build details:'; echo '  Version:   5.0.2'"
PRTE = "echo 'mpiexec (Open MPI) {}.0.1'"


@pytest.mark.parametrize(
    ("script", "library", "found"),
    [
        (HYDRA, OPENMPI, True),
        (HYDRA, MPICH, False),
        (HYDRA, IMPI, False),
        (PRTE.format(5), MPICH, True),
        (PRTE.format(5), OPENMPI, False),
        (PRTE.format(4), OPENMPI, True),
        ("echo something else", OPENMPI, False),
    ],
)
def test_mpiexec_of_another_mpi_first_on_path(tmp_path, script, library, found):
    environ = command(tmp_path, "mpiexec", script)
    result = findings("mpiexec", environ=environ, library=library)
    assert bool(result) == found, result
    if found:
        assert "/x/bin/mpiexec" in result[0].remedy


def test_an_old_libstdcxx_before_a_newer_one(tmp_path):
    def library(directory, newest):
        path = tmp_path / directory / "libstdc++.so.6"
        path.parent.mkdir(parents=True, exist_ok=True)
        versions = [b"GLIBCXX_3.4.%d\0" % n for n in range(newest + 1)]
        path.write_bytes(b"".join(versions))
        return str(path.parent)

    new, old = library("env/lib", 34), library("gcc/lib64", 21)
    host = {"prefix": tmp_path / "env", "root": tmp_path}
    found = finding("libstdcxx", environ={"LD_LIBRARY_PATH": f"/no:{old}"}, **host)
    assert "GLIBCXX_3.4.21" in found.found
    assert "GLIBCXX_3.4.34" in found.found
    assert f"remove {old}" in found.remedy
    for path in (f"{new}:{old}", "/no", ""):
        assert findings("libstdcxx", environ={"LD_LIBRARY_PATH": path}, **host) == []


def conda(prefix, name, build, channel="conda-forge", depends="[]"):
    write(
        prefix,
        f"conda-meta/{name}-4.1-{build}.json",
        f'{{"name": "{name}", "version": "4.1", "build": "{build}", "channel":'
        f' "https://conda.anaconda.org/{channel}/linux-64", "depends": {depends}}}',
    )


def test_conda_dummy_without_a_library(tmp_path):
    conda(tmp_path, "openmpi", "external_50")
    found = finding("conda-mpi", prefix=tmp_path, library=MpiLibrary(error="none"))
    assert "dummy" in found.found
    assert "conda install -c conda-forge 'openmpi=*=h*'" in found.remedy
    assert findings("conda-mpi", prefix=tmp_path, library=OPENMPI) == []


def test_conda_builds_for_another_mpi_and_mixed_channels(tmp_path):
    conda(tmp_path, "mpich", "h1", channel="pkgs/main")
    conda(tmp_path, "mpi4py", "py311", depends='["openmpi >=4", "python"]')
    built, channels = findings("conda-mpi", prefix=tmp_path)
    assert "built for openmpi" in built.found
    assert "mpi=*=mpich" in built.remedy
    assert "mpich of defaults" in channels.found


LIST = "echo 'MPI plugin types are...'; printf '\\t%s\\n' {}"


@pytest.mark.parametrize(
    ("plugins", "library", "found"),
    [
        ("none pmi2", OPENMPI, True),
        ("none pmix pmix_v4", OPENMPI, False),
        ("none pmix_v4", MPICH, True),
        ("none pmi2", MPICH, False),
        ("cray_shasta none", IMPI, False),
    ],
)
def test_srun_without_a_plugin(tmp_path, plugins, library, found):
    environ = command(tmp_path, "srun", LIST.format(plugins))
    result = findings("srun-mpi", environ=environ, library=library)
    assert bool(result) == found, result
    assert all("--launcher mpiexec" in each.remedy for each in result)


def test_srun_that_fails_is_a_finding_in_a_job_only(tmp_path):
    environ = command(tmp_path, "srun", "echo no controller >&2; exit 1")
    assert findings("srun-mpi", environ=environ) == []
    assert "no controller" in finding("srun-mpi", environ=environ | SLURM).found


def test_munge_without_its_daemon(tmp_path):
    assert findings("munge", root=tmp_path) == []
    write(tmp_path, "/etc/slurm/slurm.conf", "ClusterName=c\n")
    found = finding("munge", root=tmp_path)
    assert "No such file" in found.found
    assert "PMIX_MCA_psec=native" in found.remedy
    path = write(tmp_path, "/run/munge/munge.socket.2", "")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert "refused" in finding("munge", root=tmp_path).found  # a dead daemon's
        server.listen()
        assert findings("munge", root=tmp_path) == []


@pytest.mark.parametrize(
    ("version", "environ", "remedy"),
    [
        ("22.05.8", {"SLURM_CPUS_PER_TASK": "4"}, "SRUN_CPUS_PER_TASK"),
        ("21.08.1", {"SLURM_CPUS_PER_TASK": "4"}, None),
        ("24.11.0", {"SLURM_CPUS_PER_TASK": "4"}, None),
        ("22.05.8", {"SLURM_CPUS_PER_TASK": "4", "SRUN_CPUS_PER_TASK": "4"}, None),
        ("22.05.8", {"SLURM_CPUS_PER_TASK": "1"}, None),
        (
            "24.11.0",
            {"SLURM_CPUS_PER_TASK": "4", "SLURM_TRES_PER_TASK": "cpu=2"},
            "unset SLURM_TRES_PER_TASK",
        ),
        ("24.11.0", {"SLURM_CPUS_PER_TASK": "4", "SLURM_TRES_PER_TASK": "cpu:4"}, None),
    ],
)
def test_cores_of_a_slurm_step(tmp_path, version, environ, remedy):
    path = command(tmp_path, "srun", f"echo slurm {version}")
    result = findings("slurm-cpus", environ=path | SLURM | environ)
    assert bool(result) == bool(remedy), result
    assert all(remedy in each.remedy for each in result)


def test_a_shell_of_srun_holds_the_resources():
    shell = SLURM | {"SLURM_STEP_ID": "0", "SLURM_PTY_PORT": "4711"}
    assert "--overlap" in finding("slurm-step", environ=shell).remedy
    for other in ({"SLURM_OVERLAP": "1"}, {"SLURM_STEP_ID": "4294967290"}):
        assert findings("slurm-step", environ=shell | other) == []


def test_slurm_counts_hardware_threads(tmp_path):
    for cpu in range(4):
        name = f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        write(tmp_path, name, f"{cpu % 2},{cpu % 2 + 2}\n")
    host = {"root": tmp_path, "cpus": frozenset(range(4))}
    counted = SLURM | {"SLURM_CPUS_ON_NODE": "4"}
    found = finding("hardware-threads", environ=counted, **host)
    assert "4 are hardware threads of 2 cores" in found.found
    assert "nomultithread" in found.remedy
    cores = SLURM | {"SLURM_CPUS_ON_NODE": "2"}
    assert findings("hardware-threads", environ=cores, **host) == []


@pytest.mark.parametrize("container", [True, False])
def test_a_step_without_the_variables_of_mpi(tmp_path, container):
    if container:
        write(tmp_path, "/.dockerenv", "")
    step = SLURM | {"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "3"}
    found = finding("container-srun", environ=step, root=tmp_path, library=MPICH)
    assert "srun has started 8 tasks" in found.found
    assert "--mpi=pmi2" in found.remedy
    assert ("container" in found.found) == container
    wired = step | {"PMI_RANK": "3"}
    assert findings("container-srun", environ=wired, root=tmp_path) == []


def test_pmix_of_the_host_and_the_container():
    """The container's PMIx is that of this environment's Open MPI."""
    library = MpiLibrary("Open MPI", "5", f"{ROOT}/.venv/lib/libmpi.so.40")
    environ = {**os.environ, "APPTAINER_CONTAINER": "x.sif", "PMIX_VERSION": "3.2.1"}
    found = finding("container-pmix", environ=environ, library=library)
    assert "the host has PMIx 3.2.1" in found.found
    ours = found.found.partition("OpenPMIx ")[2].split(".")[0]
    environ["PMIX_VERSION"] = f"{ours}.9.9"
    assert findings("container-pmix", environ=environ, library=library) == []


def test_a_tmpdir_of_120_bytes(tmp_path):
    directory = tmp_path / ("x" * (119 - len(str(tmp_path))))
    directory.mkdir()
    found = finding("tmpdir", environ={"TMPDIR": str(directory)})
    assert "has 120 bytes" in found.found
    assert found.remedy == "export TMPDIR=/tmp"
    with (
        pytest.raises(OSError, match="too long"),
        socket.socket(socket.AF_UNIX) as server,
    ):
        server.bind(f"{directory}/pymp-xxxxxxxx/listener-xxxxxxxx")
    assert findings("tmpdir", environ={"TMPDIR": "/tmp"}) == []


def test_a_tmpdir_that_does_not_exist():
    found = finding("tmpdir", environ={"TMPDIR": "/no/tmp"})
    assert "No such file" in found.found
    assert "--bind /no/tmp" in found.remedy


def test_no_dev_shm(tmp_path):
    assert "does not exist" in finding("dev-shm", root=tmp_path).found
    assert findings("dev-shm") == []


def test_numba_cache_on_nfs_for_several_hosts(tmp_path):
    line = f"1 2 0:3 / {tmp_path} rw - nfs4 server:/home rw\n"
    write(tmp_path, "/proc/self/mountinfo", "1 2 0:3 / / rw - ext4 /dev/a rw\n" + line)
    host = {"root": tmp_path, "prefix": tmp_path}
    several = {"SLURM_JOB_NUM_NODES": "2"}
    found = finding("numba-cache", environ=several, **host)
    assert "nfs4" in found.found
    assert "NUMBA_CACHE_DIR" in found.remedy
    local = several | {"NUMBA_CACHE_DIR": "/tmp"}
    assert findings("numba-cache", environ=local, **host) == []
    assert findings("numba-cache", **host) == []


def test_bridges_in_a_job_of_several_hosts(tmp_path):
    write(tmp_path, "/sys/class/net/docker0/bridge/bridge_id", "")
    write(tmp_path, "/sys/class/net/docker0/operstate", "up\n")
    write(tmp_path, "/sys/class/net/virbr0/bridge/bridge_id", "")
    write(tmp_path, "/sys/class/net/virbr0/operstate", "down\n")
    environ = {"SLURM_JOB_NUM_NODES": "2"}
    found = finding("bridges", environ=environ, root=tmp_path)
    assert "OMPI_MCA_btl_tcp_if_exclude=lo,docker0 " in found.remedy
    set_by_user = environ | {"OMPI_MCA_btl_tcp_if_include": "eth0"}
    assert findings("bridges", environ=set_by_user, root=tmp_path) == []
    assert findings("bridges", root=tmp_path) == []  # one host


def test_ucx_without_the_transports_of_a_port(tmp_path):
    write(tmp_path, "/sys/class/infiniband/mlx5_0/ports/1/state", "4: ACTIVE\n")
    tcp = "echo '#      Transport: tcp'; echo '#      Transport: sysv'"
    environ = command(tmp_path, "ucx_info", tcp)
    found = finding("ucx", environ=environ, root=tmp_path)
    assert "only sysv, tcp" in found.found
    assert "OMPI_MCA_pml=ob1" in found.remedy
    rc = command(tmp_path, "ucx_info", "echo '#   Transport: rc_mlx5'")
    assert findings("ucx", environ=rc, root=tmp_path) == []
    selected = rc | {"UCX_TLS": "rc,cuda_copy"}
    assert finding("ucx", environ=selected, root=tmp_path).remedy == "unset UCX_TLS"


def test_threads_beyond_the_cores():
    environ = {"OPENBLAS_NUM_THREADS": "4", "SLURM_TASKS_PER_NODE": "2(x3)"}
    host = {"environ": environ, "cpus": frozenset(range(4))}
    found = finding("thread-count", **host)
    assert "2 ranks per host x 4 threads on 4 CPUs" in found.found
    assert "OMP_NUM_THREADS=2" in found.remedy
    assert "unset OPENBLAS_NUM_THREADS" in found.remedy
    assert findings("bound-process", **host) == []
    host["cpus"] = frozenset({0})
    assert "may use 1 CPU" in finding("bound-process", **host).found
    host["environ"] = environ | {"OPENBLAS_NUM_THREADS": "1"}
    assert findings("thread-count", **host) == []


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_with_a_cpu_quota(tmp_path, version):
    if version == 2:
        write(tmp_path, "/proc/self/cgroup", "0::/a/b\n")
        write(tmp_path, "/sys/fs/cgroup/a/cpu.max", "150000 100000\n")
        write(tmp_path, "/sys/fs/cgroup/a/b/cpu.max", "max 100000\n")
    else:
        write(tmp_path, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n")
        write(tmp_path, "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    host = {"root": tmp_path, "cpus": frozenset(range(8))}
    found = finding("cpu-quota", **host)
    assert "1.5 CPUs of 8" in found.found
    assert "OMP_NUM_THREADS=1" in found.remedy
    assert findings("cpu-quota", environ={"OMP_NUM_THREADS": "1"}, **host) == []


def test_a_limit_of_pids_below_the_threads(tmp_path):
    write(tmp_path, "/sys/fs/cgroup/pids.max", "8\n")
    host = {"root": tmp_path, "cpus": frozenset(range(16))}
    found = finding("process-limit", **host)
    assert found.grade == "error"
    assert found.remedy == "docker run --pids-limit=-1"


@pytest.mark.parametrize(
    ("lines", "environ", "remedy"),
    [
        (["a", "b"], {"NCPUS": "8"}, "select=2:ncpus=8:mpiprocs=8"),
        (["a", "b"], {"NCPUS": "8", "OMP_NUM_THREADS": "8"}, None),
        (["a"] * 8 + ["b"] * 8, {"NCPUS": "8"}, None),
        (["a", "a"], {"MPIAPPS_NTASKS": "4"}, "mpiprocs=RANKS"),
        (["a", "a"], {"MPIAPPS_NTASKS": "2"}, None),
    ],
)
def test_pbs_without_slots(tmp_path, lines, environ, remedy):
    path = write(tmp_path, "nodes", "\n".join(lines) + "\n")
    result = findings("slots", environ=environ | {"PBS_NODEFILE": str(path)})
    assert bool(result) == bool(remedy), result
    assert all(remedy in each.remedy for each in result)


@pytest.mark.parametrize(
    "text", ["a slots=1\nb slots=2 # c\n", "a\nb:2\n", "a:1\nb:2\n"]
)
def test_a_host_file_with_too_few_slots(tmp_path, text):
    environ = {"PRTE_MCA_prte_default_hostfile": str(write(tmp_path, "hosts", text))}
    assert "3 slots" in finding("slots", environ=environ, ntasks=4).found
    assert findings("slots", environ=environ, ntasks=3) == []


@pytest.mark.parametrize(
    "environ",
    [{"NSLOTS": "8"}, {"PBS_NP": "8"}, {"LSB_DJOB_NUMPROC": "8",
                                       "LSB_MCPU_HOSTS": "a 8"}],
)  # fmt: skip
def test_slots_of_one_host_that_no_launcher_uses(environ):
    assert "mpiexec -n 8" in finding("job-slots", environ=environ).remedy
    for more in ({"OMP_NUM_THREADS": "8"}, {"PMI_SIZE": "8", "PMI_RANK": "0"},
                 {"MPIAPPS_NTASKS": "8"}):  # fmt: skip
        assert findings("job-slots", environ=environ | more) == []


def test_the_work_directory_is_not_writable(tmp_path):
    missing = tmp_path / "none"
    assert "No such file" in finding("work-directory", work=missing).found
    assert findings("work-directory", work=tmp_path) == []
    with pytest.raises(NotApplicable):
        probe("file-locks")(System(work=missing))


def test_import_that_changes_the_affinity(tmp_path):
    """A numpy that binds the process, as some builds of OpenMP libraries do."""
    package = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    package += "ones = lambda shape: type('M', (), {'__matmul__': lambda a, b: 0})()\n"
    write(tmp_path, "numpy.py", package)
    environ = {"PYTHONPATH": str(tmp_path), "GOMP_CPU_AFFINITY": "0"}
    found = finding("affinity", environ=environ)
    assert "to 1 CPUs" in found.found
    assert found.remedy == "unset GOMP_CPU_AFFINITY"
