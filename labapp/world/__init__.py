"""The world: the servers outside the queue in which effects land.

It witnesses (records every effect) and it triggers (holds the request that a fault names, so
that what happens next happens exactly there).  Code in a task never imports this package: it
reaches the world with ordinary HTTP and SMTP clients at ordinary addresses.  May depend on
``labapp.stack`` and ``labapp.errors`` only.
"""
