"""The package of the program myprogram."""
