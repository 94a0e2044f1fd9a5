"""Frames to a film, one at a time: no more than one frame is ever held."""

import io
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

Write = Callable[[np.ndarray], None]
#: Colours as the screens take them, even sizes, playable before it is loaded.
H264 = "-vf scale=out_color_matrix=bt709:out_range=tv -colorspace bt709 -color_primaries bt709 -color_trc bt709"
H264 += " -c:v libx264 -preset veryfast -pix_fmt yuv420p -crf 20 -movflags +faststart"
#: Two passes over a lossless file. One pass that splits the stream would hold every frame in ffmpeg.
#: Each fifth frame has the colours of those between.
PALETTE = r"select=not(mod(n\,5)),palettegen=max_colors=255:stats_mode=full"
USE = "paletteuse=dither=none:diff_mode=rectangle"


@cache
def ffmpeg() -> str | None:
    """The PATH's ffmpeg if it has H.264, else the one of the package imageio-ffmpeg, else None."""
    found = shutil.which("ffmpeg")
    if found:
        listing = subprocess.run([found, "-hide_banner", "-encoders"], capture_output=True, text=True, check=False)
        if "libx264" in listing.stdout:
            return found
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return None


def write(frames: Iterable[np.ndarray], paths: Sequence[Path], *, fps: int = 30) -> list[Path]:
    """Send each frame (RGBA bytes `[height, width, 4]`, the buffer may be reused) to every film.

    The ending of a path is its format, mp4 or gif; without ffmpeg an mp4 becomes a gif, with a warning. A
    film appears under its name only when it is complete. Returns the paths written.
    """
    paths = [_possible(path) for path in dict.fromkeys(paths)]
    paths = list(dict.fromkeys(paths))
    with ExitStack() as stack:
        writers: list[Write] = []
        for frame in frames:
            if not writers:
                size = (frame.shape[1], frame.shape[0])
                writers = [stack.enter_context(film(path, size, fps)) for path in paths]
            for writer in writers:
                writer(frame)
    return paths


def _possible(path: Path) -> Path:
    if path.suffix == ".mp4" and ffmpeg() is None:
        warnings.warn(
            f"no ffmpeg was found, so {path.stem} is written as GIF; for MP4 install the extra optlab[video]",
            stacklevel=3,
        )
        return path.with_suffix(".gif")
    return path


@contextmanager
def film(path: Path, size: tuple[int, int], fps: int) -> Iterator[Write]:
    """One film, written under a temporary name in the same folder and renamed when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part{os.getpid()}{path.suffix}")
    maker = mp4 if path.suffix == ".mp4" else gif if ffmpeg() else pillow_gif
    try:
        with maker(part, size, fps) as writer:
            yield writer
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def mp4(path: Path, size: tuple[int, int], fps: int) -> Iterator[Write]:
    """H.264."""
    with _pipe([*H264.split(), str(path)], size, fps) as writer:
        yield writer


@contextmanager
def gif(path: Path, size: tuple[int, int], fps: int) -> Iterator[Write]:
    """One palette for the whole film; only the changed rectangle of each frame is stored."""
    with tempfile.TemporaryDirectory(prefix="optlab-") as folder:
        whole, palette = Path(folder) / "whole.mov", Path(folder) / "palette.png"
        with _pipe(["-c:v", "qtrle", "-pix_fmt", "rgb24", str(whole)], size, fps) as writer:
            yield writer
        _call(["-i", str(whole), "-vf", PALETTE, "-update", "1", str(palette)])
        _call(["-i", str(whole), "-i", str(palette), "-lavfi", USE, "-loop", "0", str(path)])


@contextmanager
def _pipe(arguments: list[str], size: tuple[int, int], fps: int) -> Iterator[Write]:
    raw = ["-f", "rawvideo", "-pix_fmt", "rgba", "-s", f"{size[0]}x{size[1]}", "-r", str(fps), "-i", "-"]
    command = [str(ffmpeg()), "-y", "-loglevel", "error", *raw, "-an", *arguments]
    # Errors go to a file: a pipe that nobody reads would block ffmpeg when it is full.
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=errors)
        assert process.stdin is not None
        try:
            yield lambda frame: _send(process, frame)
            process.stdin.close()
            process.wait()
        except BrokenPipeError:
            process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            if not process.stdin.closed:
                with ExitStack() as ignore:
                    ignore.push(lambda *_: True)
                    process.stdin.close()
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(f"ffmpeg could not write the film: {errors.read().decode(errors='replace').strip()}")


def _send(process: subprocess.Popen, frame: np.ndarray) -> None:
    assert process.stdin is not None
    process.stdin.write(np.ascontiguousarray(frame).data)


def _call(arguments: list[str]) -> None:
    command = [str(ffmpeg()), "-y", "-loglevel", "error", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ffmpeg could not write the film: {done.stderr.strip()}")


@contextmanager
def pillow_gif(path: Path, size: tuple[int, int], fps: int) -> Iterator[Write]:
    """A GIF without ffmpeg.

    Pillow's own writer keeps all frames until the end (1.5 GB for 300). So each changed rectangle is
    encoded as a picture of its own, and its data block is taken over into the film (GIF89a, section 20).
    """
    before: Image.Image | None = None
    shown = 0.0
    with path.open("wb") as out:
        out.write(b"GIF89a" + size[0].to_bytes(2, "little") + size[1].to_bytes(2, "little") + b"\x00\x00\x00")
        out.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")

        def writer(frame: np.ndarray) -> None:
            nonlocal before, shown
            image = Image.fromarray(np.ascontiguousarray(frame[:, :, :3]))
            box = (0, 0, *size) if before is None else ImageChops.difference(image, before).getbbox()
            delay = round((shown + 1) * 100 / fps) - round(shown * 100 / fps)  # hundredths of a second
            out.write(b"\x21\xf9\x04\x04" + delay.to_bytes(2, "little") + b"\x00\x00")
            out.write(_block(image.crop(box := box or (0, 0, 1, 1)), box[0], box[1]))
            before, shown = image, shown + 1

        yield writer
        out.write(b"\x3b")


def _block(image: Image.Image, left: int, top: int) -> bytes:
    """The image block of a one-picture GIF, moved to its place and with its palette made its own."""
    held = io.BytesIO()
    image.quantize(255, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(held, "GIF")
    data = held.getvalue()
    colors = 3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0
    table, at = data[13 : 13 + colors], 13 + colors
    while data[at] == 0x21:  # extensions before the picture
        at += 2
        while data[at]:
            at += data[at] + 1
        at += 1
    place = left.to_bytes(2, "little") + top.to_bytes(2, "little")
    packed = bytes([0x80 | (data[10] & 7)])
    return b"\x2c" + place + data[at + 5 : at + 9] + packed + table + data[at + 10 : -1]
