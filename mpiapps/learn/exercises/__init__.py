"""The exercises: one module each, in the order of their names; each has EXERCISE."""
