"""Operations on files, shared over ranks: each rank reads its own bytes.

===============  =====================================================================
module           content
===============  =====================================================================
`choices`        values of the options
`listing`        the files of a run, and their sizes
`segments`       files split into segments, segments packed into bundles
`reading`        bytes and lines of a segment; compressed files
`run_segments`   run of an operation over all segments
`operations`     operations of the program: options in, reported values out
===============  =====================================================================

Each operation is a class in `count`, `digest`, `images`, `columns`, `csv_quotes` or
`map_function`.
"""
