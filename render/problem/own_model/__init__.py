"""Systems that users declare in files of their own: read, checked and named, without running a line of them.

`source` gathers a file with what it imports from beside it, and gives it a digest. `declaration` turns what it declares
into a row of the catalogue. `known` keeps both under the name by which a problem refers to them.
"""

from render.problem.own_model.known import Known, add, find, is_known, is_own
from render.problem.own_model.source import Source, read

__all__ = ["Known", "Source", "add", "find", "is_known", "is_own", "read"]
