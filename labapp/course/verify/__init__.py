"""``lab verify``: what must hold of every stage, one function each, and how to mend what does not.

* ``context``: what an invariant gets, the course and its files, and what it gives, problems;
* ``numbering``, ``trials``, ``files``, ``hints``, ``answers``, ``links``, ``prose``, ``outputs``:
  the static invariants, which read and never run;
* ``running``: those that need a lab, and minutes;
* ``invariants``: all static ones in order; ``command``: the command.

Used by ``labapp.cli`` and by the tests, which call the same functions.
"""
