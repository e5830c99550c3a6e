#!/usr/bin/env bash
# The tests as another machine has them: a path with spaces, brackets and an umlaut, the C locale without Python's UTF-8
# mode, spawned workers, a home that cannot be written; under every Python that is named.
#
#     tests/portability.sh [tests...]           default: the whole suite
#     PYTHONS="python3.11 python3.13" tests/portability.sh tests/test_cli.py
#
# A Python that is not there, or has not the project's packages, is named and passed over.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
place=$(mktemp -d)
trap 'chmod -R u+w "$place"; rm -rf "$place"' EXIT

copy="$place/a project [grüße]"
git clone -q "$root" "$copy" || exit 1
mkdir -p "$place/home" "$place/spawned"
chmod a-w "$place/home" # the superuser may write all the same
# Read by Python before anything else: workers start as on macOS, Windows, and Linux from Python 3.14 on.
cat > "$place/spawned/sitecustomize.py" <<'PYTHON'
import multiprocessing

multiprocessing.set_start_method("spawn")
PYTHON

failed=0
for python in ${PYTHONS:-python}; do
  if ! "$python" -c "import torch, pytest, dvc" 2>/dev/null; then
    echo "$python: not here, or without the project's packages; not run"
    continue
  fi
  echo "$python: $("$python" --version)"
  (
    cd "$copy" &&
      env HOME="$place/home" LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 \
        PYTHONPATH="$place/spawned:$copy/src" "$python" -m pytest -q -n 0 -p no:cacheprovider "$@"
  ) || failed=1
done
exit $failed
