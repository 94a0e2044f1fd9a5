"""The lecture's chapters, a module each, and larger studies: `python -m experiments` builds the pages."""
