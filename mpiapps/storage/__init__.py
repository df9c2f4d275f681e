"""Files that survive kills: atomic replacement, journals, directory locks."""
