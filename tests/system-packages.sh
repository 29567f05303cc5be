#!/usr/bin/env bash
# Installs the system packages that only tests need: as root on Debian, and only those that are missing.
# Elsewhere it prints the line to run. It never fails: a test whose program is missing skips by name
# (and fails where CI=true), so that the rest of the suite still runs.
set -uo pipefail

# program:package
needs="dockerd:docker.io debootstrap:debootstrap strace:strace faketime:faketime openssl:openssl chromium:chromium"

missing=()
for pair in $needs; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

install=(apt-get install --yes --no-install-recommends "${missing[@]}")
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "Some tests need system packages that are missing. To install them on Debian:" >&2
    echo "    sudo apt-get update && sudo ${install[*]}" >&2
    exit 0
fi

echo "Installing the system packages that tests need: ${missing[*]}"
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
# The package lists may be recent enough: ask for new ones only when the first try fails.
if ! "${install[@]}" >"$log" 2>&1; then
    { apt-get update && "${install[@]}"; } >"$log" 2>&1 \
        || { tail -n 20 "$log"; echo "Not installed: ${missing[*]}; tests that need them will say so." >&2; }
fi
rm -f "$log"
