"""Series with time stamps, several in one table, and with what is known beside them."""

from recurra.data.panels.base import Roles, Table, Track, Tracks
from recurra.data.panels.tables import ID, file_table, frame_table, roles_of
from recurra.data.panels.tracks import Grid, tracks_of

__all__ = [
    "ID",
    "Grid",
    "Roles",
    "Table",
    "Track",
    "Tracks",
    "file_table",
    "frame_table",
    "roles_of",
    "tracks_of",
]
