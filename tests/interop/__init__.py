"""dynamirror beside the real KCL 1.7.5 on one lease table.

`side_by_side` has the tables, the stream of many shards, the workers of both kinds and the traffic; `facts` what was
written by whom, and what must hold in every test (invariants I1 to I5).
"""
