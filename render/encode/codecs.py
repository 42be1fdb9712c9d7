"""The ways to compress a film, one row each."""

from __future__ import annotations

from typing import Literal, NamedTuple

# The name of a film that is a folder of PNGs. It needs no ffmpeg.
SEQUENCE: Literal["png"] = "png"

# Every way to write a film: the rows of CODECS, and the sequence.
CodecName = Literal["h264", "upload", "hevc", "av1", "vp9", "prores", "prores4444", "ffv1", "webp", "gif", "png"]

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
# all that a GIF can say. The end of a film gets a picture even if less of it is left than this takes: a still at
# 30 frames a second is a film of half a picture.
_SMALL = "scale='min(480,iw)':-2:flags=area"
_FEWER = "fps=12.5:eof_action=pass"
_SMALL_WORDS = "at most 480 pixels wide, with 12.5 frames a second (a GIF counts hundredths of a second)"

# Eight pixels are then left of the height, the fewest that FFV1 cuts into its slices.
_SMALL_ASPECT = 60

_MP4 = "-movflags +faststart+write_colr -f mp4"
_MOV = "-movflags +faststart+write_colr -f mov"

# Segments are joined by their times, so they are kept where these are exact, and where the colours' tags are not lost.
_MP4_SEGMENT = "-movflags +write_colr -f mp4"
_MOV_SEGMENT = "-movflags +write_colr -f mov"

# Matroska rounds times to milliseconds, and the sum of two rounded ones may be one off. Every packet is one frame, so a
# packet's number says its time.
_BY_NUMBER = "-bsf:v setts=ts=round(N*1000*{seconds})"

# Every bit of a frame, in any format of pixels.
_LOSSLESS = "-c:v ffv1 -level 3 -coder 1 -context 1 -slices {slices} -slicecrc 1"


# ffmpeg takes no picture whose sides, each with this margin, have a product of an eighth of the largest 32-bit number
# or more, whatever the codec (av_image_check_size2): about 268 million pixels.
_MARGIN_PX = 128
# x265 has smaller blocks for frames that are thinner than this, which its levels forbid in large ones.
_THIN_PX = 32
_MOST_AREA = (2**31 - 1) // 8

# FFV1 takes slices of as many pixels as fit into 2^27 bits, of which each pixel has 9 a channel.
_MOST_SLICE_PIXELS = 2**27 // 27


# QuickTime's own comment has a length of 16 bits, and ffmpeg cuts a longer one to its lower bits without a word. The
# newer kind of metadata ("mdta") has 32.
_MOST_MOV_BYTES = 2**16 - 1
_LONG_MOV = " -movflags +use_metadata_tags"


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
    sound: ffmpeg's encoder of sound, with its options; "" for a film that can have none.
    changes: in what a film differs from the frames handed to it, as part of a sentence; "" if in nothing but colour.
    largest_px: the largest (width, height) that the encoder takes, as it leaves the filters; both as measured with the
    ffmpeg that render brings (test_largest_sizes.py). scale: how many times a frame's size that is.
    most_pixels: of a frame that leaves the filters. most_thin_px: of the longer side where the shorter is below 32.
    most_aspect: the largest ratio of width to height.
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
    sound: str = "-c:a aac -b:a 192k"
    changes: str = ""
    largest_px: tuple[int, int] = (16384, 16384)
    scale: int = 1
    most_pixels: int = 2**28
    most_thin_px: int = 16384
    most_aspect: int = 16384

    def takes(self, size_px: tuple[int, int]) -> bool:
        """Say whether frames of a size (width, height) can be encoded."""
        width, height = (side * self.scale for side in size_px)
        return (
            width <= self.largest_px[0]
            and height <= self.largest_px[1]
            and width <= self.most_aspect * height
            and width * height <= self.most_pixels
            and (min(width, height) >= _THIN_PX or max(width, height) <= self.most_thin_px)
            and (width + _MARGIN_PX) * (height + _MARGIN_PX) < _MOST_AREA
        )

    def container_with(self, comment_bytes: int) -> str:
        """Return ffmpeg's options for the container of a film that carries a comment of so many bytes."""
        return self.container + (_LONG_MOV if self.suffix == ".mov" and comment_bytes > _MOST_MOV_BYTES else "")

    def segment_encoder(self, size_px: tuple[int, int]) -> str:
        """Return ffmpeg's encoder of segments, with its options for frames of a size (width, height)."""
        return (_LOSSLESS if self.at_once else self.encoder).format(slices=_slices(size_px))

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
        scale=2,
        changes="twice the size of output.size",
    ),
    "hevc": Codec(
        "yuv420p10le",
        "-c:v libx265 -preset medium -tag:v hvc1 -x265-params log-level=error:info=0:pools=4:frame-threads=2",
        "ten bits; smaller",
        join="-tag:v hvc1",
        most_thin_px=4216,
        crf=(20, 51),
        bits=16,
    ),
    "av1": Codec(
        "yuv420p10le",
        "-c:v libsvtav1 -preset 6 -svtav1-params tune=0",
        "ten bits; smallest",
        largest_px=(16384, 8704),
        most_pixels=(2**31 - 1) // 24,  # it asks for a buffer of 24 bytes a pixel
        crf=(28, 63),
        bits=16,
    ),
    "vp9": Codec(
        "yuv420p",
        "-c:v libvpx-vp9 -b:v 0 -deadline good -cpu-used 2 -row-mt 0 -tile-columns 2",
        "WebM, for web pages",
        suffix=".webm",
        container="-f webm",
        sound="-c:a libopus -b:a 160k",
        crf=(24, 63),
        # As of ffv1: Matroska, which WebM is, rounds times to milliseconds. A frame that is not shown travels in the
        # packet of one that is, so here too a packet's number says its time.
        segment="-f matroska",
        join=_BY_NUMBER,
        # 8,192 x 8,192 took 92 s a frame. For 16,254 x 16,254 17 GB of memory were not enough.
        most_pixels=2**26,
    ),
    "prores": Codec(
        "yuv422p10le",
        "-c:v prores_ks -profile:v hq -vendor apl0",
        "ten bits, 4:2:2, for editing",
        suffix=".mov",
        container=_MOV,
        sound="-c:a pcm_s16le",
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
        sound="-c:a pcm_s16le",
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
        sound="-c:a flac",
        crf=None,
        filters=_RGB,
        tags=_RGB_TAGS,
        # MOV would keep exact times, but loses the range.
        segment="-f matroska",
        join=_BY_NUMBER,
    ),
    "webp": Codec(
        "yuv420p",
        "-c:v libwebp_anim -quality 70 -compression_level 4 -loop 0",
        "small and moving, for messages",
        suffix=".webp",
        container="-f webp",
        sound="",
        crf=None,
        filters=_SMALL,
        largest_px=(16384, 16382),
        changes=_SMALL_WORDS,
        most_aspect=_SMALL_ASPECT,
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
        sound="",
        crf=None,
        filters=_SMALL,
        tags="",
        segment=_MOV_SEGMENT,
        at_once=_FEWER + ",split[a][b];[a]palettegen=stats_mode=full[p];[b][p]paletteuse=dither=bayer:bayer_scale=3",
        lossless="gbrp",
        changes=_SMALL_WORDS,
        most_aspect=_SMALL_ASPECT,
    ),
}


def refusal(name: CodecName | str, size_px: tuple[int, int]) -> str | None:
    """Return why a film of this size (width, height) cannot have this codec, as a sentence; None if it can.

    A folder of pictures takes every size.
    """
    if name == SEQUENCE or CODECS[name].takes(size_px):
        return None
    row, (width, height) = CODECS[name], size_px
    others = [other for other, codec in CODECS.items() if codec.takes(size_px)]
    choices = ", ".join(f'"{other}"' for other in [*others, SEQUENCE])
    most_pixels = min(row.most_pixels, _MOST_AREA) / row.scale**2 / 1e6
    thin = f" (or {row.most_thin_px} where the shorter side is below {_THIN_PX})" if row.most_thin_px < 16384 else ""
    flat = f", at most {row.most_aspect} times as wide as high" if row.most_aspect < 16384 else ""
    return (
        f'with codec "{name}" a frame must be at most {row.largest_px[0] // row.scale} x '
        f"{row.largest_px[1] // row.scale}{thin} with at most {most_pixels:.0f} million pixels{flat}, not "
        f"{width} x {height}. Choose a smaller output.size, or output.codec = {choices}."
    )


def _slices(size_px: tuple[int, int]) -> int:
    """Return into how many parts FFV1 cuts a frame: four, or as many more as it takes."""
    width, height = size_px
    cuts = (2, 3, 4, 5, 6, 8, 10)
    fits = (cut * cut for cut in cuts if -(-width // cut) * -(-height // cut) <= _MOST_SLICE_PIXELS)
    return next(fits, cuts[-1] ** 2)
