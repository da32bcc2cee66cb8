#!/bin/sh
# Installs the system packages that the build needs and that are missing (Debian, Ubuntu); does nothing when all are there.
set -eu

missing=""
for package in libdnnl-dev libjpeg-dev libpng-dev libfreetype-dev libzint-dev pkg-config git libc6-dev libstdc++-12-dev; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done

if [ -n "$missing" ]; then
    if ! command -v apt-get >/dev/null; then
        echo "These Debian packages, or what your system calls them, are needed:$missing" >&2
        exit 1
    fi
    as_root=""
    [ "$(id -u)" = 0 ] || as_root="sudo"
    echo "Installing$missing" >&2
    $as_root apt-get update -qq
    # shellcheck disable=SC2086 # a list of packages
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

if ! command -v swift >/dev/null; then
    echo "Swift 6.0 or newer is needed, and Debian 12 has no package of it: https://www.swift.org/install/linux/" >&2
    exit 1
fi
