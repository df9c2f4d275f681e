"""What needs the standard library alone: errors, units, the launch environment."""
