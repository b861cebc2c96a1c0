"""Results on disk: slices per group of contigs, the site table, the per-read BAM, run.json.

Every file is complete or absent.
"""
