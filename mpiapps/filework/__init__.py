"""Work on files, shared over ranks: each reads its own bytes.

=============  =======================================================================
module         what is in it
=============  =======================================================================
`choices`      what may be asked for
`listing`      which files there are, and their sizes
`segments`     files cut, packed, dealt
`reading`      bytes of a segment, cut where a record ends; compressed files
`share`        the run over all segments: whoever is free, bad files apart
`ledger`       what was done, in a journal for each rank
=============  =======================================================================

What can be done is a class each in `count`, `digest`, `images`, `columns`, `own`.
"""
