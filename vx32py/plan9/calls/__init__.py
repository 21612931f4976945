"""The system calls of Plan 9, a file for each family; :data:`vx32py.plan9.calls.table.TABLE` has all of them."""
