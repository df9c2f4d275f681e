#!/bin/bash
# A job script for Slurm that runs 01_hello.py on two nodes, with 4 ranks on each.
#
# Ask for: the name hello, 2 nodes, 4 tasks per node, 1 CPU per task, 2 GiB of memory
# per CPU, 10 minutes. Directives are lines that begin with #SBATCH, above the first
# command. Then start the program on all 8 ranks; SLURM_NTASKS is their number.

python 01_hello.py
