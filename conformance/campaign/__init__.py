"""Differential campaigns: many generated cases on several oracles, in several processes or on a cluster.

    plan       what a campaign is: seed, oracles, shards
    isolation  calls in processes of their own; keeper is what runs there
    shard      one shard, with the cases that kill their process told apart
    finding    what a shard comes back with, and when two divergences have one cause
    local      shards on this machine's processors
    cluster    shards on a Dask cluster
    run        the loop: shards out, results into the store, progress to the terminal
    store      the SQLite file that a campaign can be resumed from
    coverage   what a store says, cell by cell; report_text and report_html show it
    replay     one case again, on every oracle

``vx32py fuzz`` (:mod:`conformance.fuzz`) is the command line for all of it.
"""
