"""Tips of taxi trips in Parquet files, counted by MPI ranks, Dask or polars.

==============  ======================================================================
module          content
==============  ======================================================================
`files`         files of data among the arguments
`datasets`      columns of data sets, from ``datasets.toml``
`reader`        trips of a file as arrays
`summary`       result of all parts together
`row_groups`    row groups distributed over ranks
`dask_frame`    the same by dask.dataframe
`polars_frame`  the same by polars
`plot`          the histogram as PNG
==============  ======================================================================
"""
