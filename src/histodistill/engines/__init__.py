"""Where tasks run: processes of this machine, a Ray cluster, or arrays of SLURM.

:class:`~histodistill.engines.engine.Engine` is all that work knows of them: submit, poll, collect,
cancel. What a task computes lies in files that every machine sees; what it returns is a few words
about them.
"""
