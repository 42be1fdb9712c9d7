"""Encoding of frames: films by ffmpeg, stills as PNG.

Both are written beside their final name and renamed when they are complete, so a path has a complete file or none.
Neither contains a time of day, so the same frames give the same bytes.
"""

from render.encode.codecs import CODECS, SEQUENCE, Codec, CodecName, refusal
from render.encode.ffmpeg import missing_encoders, read_film, read_film_comment, version
from render.encode.pictures import read_png_metadata, shrunk, write_png, write_thumbnail
from render.encode.video import VideoWriter

__all__ = [
    "CODECS",
    "SEQUENCE",
    "Codec",
    "CodecName",
    "VideoWriter",
    "missing_encoders",
    "read_film",
    "read_film_comment",
    "read_png_metadata",
    "refusal",
    "shrunk",
    "version",
    "write_png",
    "write_thumbnail",
]
