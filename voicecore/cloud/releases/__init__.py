"""Which version of a stage its callers reach: read, chosen and moved."""
