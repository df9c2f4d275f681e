#!/bin/bash
#$ -S /bin/bash
#$ -N pi
#$ -cwd
#$ -j y
#$ -o logs/$JOB_NAME.$JOB_ID.out
#$ -r y
#$ -l h_rt=1:00:00
#$ -pe mpi2 4
# pi: 4 ranks on 2 hosts, 1 core each.
# Rendered by mpiapps 0.1.0 for sge; `mpiapps explain` describes each directive.
# shellcheck disable=SC1090,SC2154 # the library sets run, index, python, mpiexec, end_with_parent

set -u
cd -- "${SGE_O_WORKDIR:-.}" || exit 78
library="logs/${MPIAPPS_RUN:-}/job_library.sh"  # the copy that `mpiapps submit` made
[ -r "$library" ] || library=jobs/lib/job_library.sh
. "$library" || exit 78
job_begin --scheduler=sge --name=pi --logs=logs \
    --python=.venv/bin/python --mpiexec \
    --nodes=2 --ranks-per-node=2 --threads=1 \
    --time=3600 --stop-margin=300 --max-requeues=20 --record
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 BLIS_NUM_THREADS=1 \
 NUMBA_NUM_THREADS=1 NUMEXPR_NUM_THREADS=1 VECLIB_MAXIMUM_THREADS=1
export OMP_PLACES=cores OMP_PROC_BIND=close
[ "$EUID" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
awk '{print $1 " slots=" $2}' "${PE_HOSTFILE:-/dev/null}" >"$run/hosts"
[ -s "$run/hosts" ] || echo localhost >"$run/hosts"
job_run "$mpiexec" -n 4 --map-by ppr:2:node:PE=1 --bind-to core --hostfile "$run/hosts" \
    "$python" -m mpiapps.pi
job_end
