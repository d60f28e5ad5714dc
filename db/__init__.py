"""The store: tables and the transactions on them. Knows nothing of torch, training or the network.

Every function takes an open session first and, where time counts, `now` (aware UTC). It gives back frozen dataclasses;
table rows stay inside this package. A refusal is raised before anything is changed, and the caller's transaction rolls
back. Statements go through the tables themselves (`JOB.c.state`), never through loaded objects: a row is read again
rather than remembered. Read `queue` first, then `taking`, `samples` and `rungs`; `statements` says how they are sent.
"""

from db import tables_audit as tables_audit  # their tables belong to the catalogue, whichever part is imported first
from db import tables_deploy as tables_deploy
from db import tables_scale as tables_scale
from db import tables_web as tables_web
