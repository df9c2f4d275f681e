"""Matrices over the ranks of a communicator: products, factors, files.

Every function is collective unless it says otherwise: all ranks call it with the same
arguments, which it compares, and all raise the same error if they differ or one of them
is wrong. Sums are added in an order that depends on the grid and the BLAS alone, so the
same run gives the same bits.

==============  ======================================================================
module          what is in it
==============  ======================================================================
`distmatrix`    `DistMatrix`: making it, taking it apart
`operators`     operators, functions element by element
`numpy_api`     which of NumPy's functions work on it
`layout`        `Layout`: two axes over a grid of ranks; `axis`: who owns which index
`multiply`      ``alpha op(A) op(B) + beta C``, and ``A.H A``
`choose`        `choose_grid`: the cheapest grid for a product; loads no MPI
`schedule`      what a product does, step by step, without data; loads no MPI
`plan`          what a product would cost on any number of ranks; loads no MPI
`calibrate`     what one rank of this machine does, measured
`reduce`        sums, norms, trace, diagonal, products with a vector
`moments`       mean and standard deviation
`cholesky`      factors of Hermitian positive definite matrices
`lu`            factors with partial pivoting
`substitute`    solving with a triangular matrix
`solve`         systems of equations, inverses, condition numbers
`tall`          QR and SVD of matrices with few columns
`npy`           .npy files, each rank its own bytes
`check`         errors of results, at a small part of their cost
==============  ======================================================================
"""
