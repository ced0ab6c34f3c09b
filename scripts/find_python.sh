#!/bin/sh
# Prints the newest Python on PATH that is >= 3.11 and can make environments. Each is run, not only found: a
# version manager leaves commands that refuse to start.
for python in python3.14 python3.13 python3.12 python3.11 python3; do
  if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    command -v "$python"
    exit 0
  fi
done
echo "No Python >= 3.11 with its venv module on PATH; tried python3.14 to python3.11 and python3." >&2
exit 1
