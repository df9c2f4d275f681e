#!/bin/bash
#SBATCH --job-name=doctor
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=1
#SBATCH --hint=nomultithread
#SBATCH --time=0-01:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --output=logs/%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --export=NONE
# doctor: 4 ranks on 2 hosts, 1 core each.
# Rendered by mpiapps 0.1.0 for slurm; `mpiapps explain` describes each directive.
# shellcheck disable=SC1090,SC2154 # the library sets run, index, python, mpiexec, end_with_parent

set -u
cd -- "${SLURM_SUBMIT_DIR:-.}" || exit 78
library="logs/${MPIAPPS_RUN:-}/job_library.sh"  # the copy that `mpiapps submit` made
[ -r "$library" ] || library=jobs/lib/job_library.sh
. "$library" || exit 78
job_begin --scheduler=slurm --name=doctor --logs=logs \
    --python=.venv/bin/python --mpiexec \
    --nodes=2 --ranks-per-node=2 --threads=1 \
    --time=3600 --stop-margin=300 --max-requeues=20 --record
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 BLIS_NUM_THREADS=1 \
 NUMBA_NUM_THREADS=1 NUMEXPR_NUM_THREADS=1 VECLIB_MAXIMUM_THREADS=1
export OMP_PLACES=cores OMP_PROC_BIND=close
[ "$EUID" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
job_run "$mpiexec" -n 4 --map-by ppr:2:node:PE=1 --bind-to core \
    "$python" -m mpiapps.doctor
job_end
