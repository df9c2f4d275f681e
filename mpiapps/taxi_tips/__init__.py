"""Tips of taxi trips in Parquet files, counted by MPI ranks or by dask.dataframe.

============  ========================================================================
module        content
============  ========================================================================
`files`       files of data among the arguments
`summary`     result of all parts together
`row_groups`  row groups distributed over ranks
`dask_frame`  the same by dask.dataframe
`plot`        the histogram as PNG
============  ========================================================================
"""
