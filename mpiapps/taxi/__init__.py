"""Trips of taxis in Parquet files: who tips how much, by two ways to the same answer.

===========  =========================================================================
module       what is in it
===========  =========================================================================
`files`      which files are meant
`answer`     what is asked, and what all parts of it together say
`groups`     row groups dealt to ranks, each read by the one that counts it
`frame`      the same by dask.dataframe
`picture`    the histogram as PNG
===========  =========================================================================
"""
