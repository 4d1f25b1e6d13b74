"""The node: a host for Celery workers, with their real processes under control.

It starts workers (the ordinary ``celery … worker`` command), knows when each is ready, finds which
of them owns a connection, kills, stops, continues, terminates and reaps them.  May depend on
``labapp.stack`` and ``labapp.errors`` only.  Kept empty of imports: a worker loads
``labapp.node.probe`` from here.
"""
