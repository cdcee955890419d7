"""Files of the export side: default checkpoints, and clips that calibrate where a user has none.

A wheel of its own, because a device needs none of them; `edge_ser_export.builtin` finds them.
"""
