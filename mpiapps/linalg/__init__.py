"""Matrices over the ranks of a communicator: products, factors, files.

Functions are collective unless marked local: all ranks call them with the same
arguments. The arguments are compared; if they differ or one is invalid, all ranks
raise the same error. The order of summation depends only on the grid and the BLAS, so
the same run gives the same bits.

=================  ====================================================================
module             contents
=================  ====================================================================
`distmatrix`       `DistMatrix`: construction, gathering
`operators`        operators, element-wise functions
`numpy_api`        NumPy functions that accept a `DistMatrix`
`layout`           `Layout`: block-cyclic distribution; `axis`: one dimension of it
`devices`          the device of each rank; `DistMatrix.to_device`: docs/gpu-matrix.md
`multiply`         ``alpha op(A) op(B) + beta C``, and ``A.H A``
`product_choice`   the cheapest algorithm of a product; without MPI
`grid_choice`      `choose_grid`: the cheapest grid for a product; without MPI
`schedule`         the steps of a product, without data; without MPI
`cost_model`       the cost of a product on any number of ranks; without MPI
`operation_plan`   the cost of other operations on any number of ranks
`calibrate`        measured flop/s, bandwidth and latency of a rank
`matvec`           products with a vector
`reductions`       sums, norms, trace, diagonal
`moments`          mean and standard deviation
`cholesky`         Cholesky factorisation
`lu`               LU factorisation with pivoting
`trsm`             triangular solves
`solve`            systems of equations, inverses, condition numbers
`eigh`             eigenvalues and vectors of Hermitian matrices
`eigsh`            a few eigenvalues and vectors of Hermitian matrices
`svd`              singular values and vectors
`svds`             the largest singular values and vectors
`lstsq`            least squares
`tsqr`             QR; `householder_qr`: of matrices that are not tall
`npy`              .npy files, read and written in parallel
`result_checks`    error estimates of results, cheap against the computation
`operations`       operations of the matrix program; `operation`: their interface
=================  ====================================================================
"""
