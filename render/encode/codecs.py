"""The ways to compress a film, one row each."""

from __future__ import annotations

from typing import Literal, NamedTuple

# The name of a film that is a folder of PNGs. It needs no ffmpeg.
SEQUENCE: Literal["png"] = "png"

# Every way to write a film: the rows of CODECS, and the sequence.
CodecName = Literal["h264", "upload", "hevc", "av1", "prores", "prores4444", "ffv1", "webp", "gif", "png"]

# Without tags a player guesses BT.601, an error of up to 40 of 255 on flat colours. Conversion, frame parameters and
# output flags are all needed: ffmpeg 4 to 7 take the flags for mere labels, 9 drops two of them without setparams.
# With all three the largest error is 2 (ffmpeg 4.2.2, 7.0.2, 9.0.2). The transfer is tagged sRGB because frames
# leave linear light through the sRGB curve, and so a film and a PNG of the same frame look alike.
_SRGB = "color_primaries=bt709:color_trc=iec61966-2-1"
_BT709 = "in_range=full:out_range=tv:out_color_matrix=bt709:flags=accurate_rnd+full_chroma_int"
_TAGGED = f"format={{pixels}},setparams={_SRGB}:colorspace=bt709:range=tv"
_YUV = f"scale={_BT709}+lanczos,{_TAGGED}"
_YUV_TAGS = "-color_primaries bt709 -color_trc iec61966-2-1 -colorspace bt709 -color_range tv"
_RGB = f"format={{pixels}},setparams={_SRGB}:colorspace=gbr:range=pc"
_RGB_TAGS = "-color_primaries bt709 -color_trc iec61966-2-1 -colorspace rgb -color_range pc"

# Each pixel becomes a square of four: then 4:2:0 keeps the colour of every pixel of the frame. (Noise of single pixels
# comes back with 22.3 dB, of which the player's own interpolation is the rest; 20.0 through a lanczos filter, 12.3 at
# the plain size.)
_DOUBLED = f"scale=iw*2:ih*2:{_BT709}+full_chroma_inp+neighbor,{_TAGGED}"

# For messages: at most 480 pixels wide, in even sizes; 12.5 frames a second are whole hundredths of a second, which is
# all that a GIF can say.
_SMALL = "scale='min(480,iw)':-2:flags=area"
_FEWER = "fps=12.5"

_MP4 = "-movflags +faststart+write_colr -f mp4"
_MOV = "-movflags +faststart+write_colr -f mov"

# Segments are joined by their times, so they are kept where these are exact, and where the colours' tags are not lost.
_MP4_SEGMENT = "-movflags +write_colr -f mp4"
_MOV_SEGMENT = "-movflags +write_colr -f mov"

# Every bit of a frame, in any format of pixels.
_LOSSLESS = "-c:v ffv1 -level 3 -coder 1 -context 1 -slices 4 -slicecrc 1"


class Codec(NamedTuple):
    """One way to compress a film.

    pixels: ffmpeg's pixel format. encoder: ffmpeg's encoder with its options. what: for whom it is, in a few words.
    suffix, container: of the file, and ffmpeg's options for it. crf: the encoder's own quality where a scene names
    none, and the largest it takes; None where there is no choice. bits: of a channel of the frames handed to it.
    filters, tags: how frames become pixels, and what the stream says about them; {pixels} is filled in.
    segment: ffmpeg's options for the container of a segment. join: its options, besides a copy, where segments become
    a film; {seconds} is filled in: the seconds of a frame, as a ratio.
    at_once: filters that need every frame of a film. Such a film cannot be joined of encoded segments: its segments are
    lossless, of the frames after `filters`, with pixels of the format `lossless`, and are encoded when all are there.
    """

    pixels: str
    encoder: str
    what: str = ""
    suffix: str = ".mp4"
    container: str = _MP4
    crf: tuple[int, int] | None = (16, 51)
    bits: Literal[8, 16] = 8
    filters: str = _YUV
    tags: str = _YUV_TAGS
    segment: str = _MP4_SEGMENT
    join: str = ""
    at_once: str = ""
    lossless: str = ""

    @property
    def segment_encoder(self) -> str:
        """ffmpeg's encoder of segments, with its options."""
        return _LOSSLESS if self.at_once else self.encoder

    @property
    def encoder_name(self) -> str:
        """ffmpeg's name of the encoder."""
        return self.encoder.split()[1]


# h264 is 8-bit 4:2:0, since most browsers play no other H.264. hevc and av1 have ten bits, against banding; Apple's
# players want the tag hvc1; info=0 keeps the processor out. (x265 and SVT-AV1 gave the same bytes at every thread
# count tried.) Sizes and errors of each on a real film: assets/docs/production.md.
_X264 = "-c:v libx264 -preset medium -profile:v high -bf 2"

CODECS: dict[str, Codec] = {
    "h264": Codec("yuv420p", _X264, "plays everywhere"),
    "upload": Codec(
        "yuv420p",
        _X264,
        "h264 at twice the size, for sites that compress again: colour keeps its full resolution",
        crf=(18, 51),
        filters=_DOUBLED,
    ),
    "hevc": Codec(
        "yuv420p10le",
        "-c:v libx265 -preset medium -tag:v hvc1 -x265-params log-level=error:info=0:pools=4:frame-threads=2",
        "ten bits; smaller",
        join="-tag:v hvc1",
        crf=(20, 51),
        bits=16,
    ),
    "av1": Codec(
        "yuv420p10le",
        "-c:v libsvtav1 -preset 6 -svtav1-params tune=0",
        "ten bits; smallest",
        crf=(28, 63),
        bits=16,
    ),
    "prores": Codec(
        "yuv422p10le",
        "-c:v prores_ks -profile:v hq -vendor apl0",
        "ten bits, 4:2:2, for editing",
        suffix=".mov",
        container=_MOV,
        segment=_MOV_SEGMENT,
        crf=None,
        bits=16,
    ),
    "prores4444": Codec(
        "yuv444p10le",
        "-c:v prores_ks -profile:v 4444 -vendor apl0",
        "ten bits, full colour resolution, for editing",
        suffix=".mov",
        container=_MOV,
        segment=_MOV_SEGMENT,
        crf=None,
        bits=16,
    ),
    "ffv1": Codec(
        "gbrp",
        _LOSSLESS,
        "lossless: every pixel of every frame",
        suffix=".mkv",
        container="-f matroska",
        crf=None,
        filters=_RGB,
        tags=_RGB_TAGS,
        # Matroska rounds times to milliseconds, and the sum of two rounded ones may be one off. MOV does not, but loses
        # the range. Every packet is one frame, so a packet's number says its time.
        segment="-f matroska",
        join="-bsf:v setts=ts=round(N*1000*{seconds})",
    ),
    "webp": Codec(
        "yuv420p",
        "-c:v libwebp_anim -quality 70 -compression_level 4 -loop 0",
        "small and moving, for messages",
        suffix=".webp",
        container="-f webp",
        crf=None,
        filters=_SMALL,
        tags="",
        segment=_MOV_SEGMENT,
        at_once=_FEWER,
        lossless="yuv420p",
    ),
    "gif": Codec(
        "pal8",
        "-c:v gif -loop 0",
        "the same, for where nothing else moves",
        suffix=".gif",
        container="-f gif",
        crf=None,
        filters=_SMALL,
        tags="",
        segment=_MOV_SEGMENT,
        at_once=_FEWER + ",split[a][b];[a]palettegen=stats_mode=full[p];[b][p]paletteuse=dither=bayer:bayer_scale=3",
        lossless="gbrp",
    ),
}
