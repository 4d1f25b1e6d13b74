"""``lab.panel()``: one live queue of the learner's own, to look at and to break by hand.

Pure: ``moment`` (what the panel shows at one moment), ``tape`` (the last seconds, as bars and
marks), ``words`` and ``drawing`` (the moment as text and as a picture that stands still).  With
the stack: ``hearing`` and ``watch`` (read), ``shop`` (act), ``panel`` (both, and their threads).
``widget`` is the browser's side, with ``panel.js`` and ``panel.css``.  May depend on what
``labapp.lab`` may; used by ``labapp.lab.surface``.
"""
