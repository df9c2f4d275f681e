"""Independent tasks on ranks, or on workers of Dask."""
