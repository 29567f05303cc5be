#!/usr/bin/env bash
# Prints the path of the S3 server that tests and the local cluster use (versitygw, Apache-2.0).
# Order: $VERSITYGW_BIN, versitygw on the PATH, then one built from s3/go.mod, once per version, into the
# user's cache. Building takes about a minute on two cores and needs Go (https://go.dev).
set -euo pipefail

if [ -n "${VERSITYGW_BIN:-}" ]; then
    [ -x "$VERSITYGW_BIN" ] || { echo "VERSITYGW_BIN=$VERSITYGW_BIN is not a program" >&2; exit 2; }
    echo "$VERSITYGW_BIN"
    exit 0
fi
if found=$(command -v versitygw); then
    echo "$found"
    exit 0
fi

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(awk '$1 == "github.com/versity/versitygw" { print $2 }' "$here/s3/go.mod")
folder=${XDG_CACHE_HOME:-$HOME/.cache}/coordinator/versitygw-$version
binary=$folder/versitygw

if [ ! -x "$binary" ]; then
    command -v go >/dev/null || { echo "neither versitygw nor go is installed" >&2; exit 2; }
    mkdir -p "$folder"
    echo "Building versitygw $version into $folder (once, about a minute)" >&2
    # Written aside and renamed: two builds at once, or a killed one, never leave half a program.
    (cd "$here/s3" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$binary.$$" \
        github.com/versity/versitygw/cmd/versitygw) >&2
    mv -f "$binary.$$" "$binary"
fi
echo "$binary"
