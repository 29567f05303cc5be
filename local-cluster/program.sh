#!/usr/bin/env bash
# Prints the path of a program that tests and the local cluster start: nomad or versitygw (the S3 server).
# Order: $NOMAD_BIN or $VERSITYGW_BIN, the PATH, then one built from <name>/go.mod, once per version, into the
# user's cache. Building needs Go (https://go.dev) and takes on two cores: nomad 4 to 6 minutes, versitygw one.
set -euo pipefail

name=${1:-}
case $name in
    # The tag keeps what the metrics page shows; without the tag "release" there is a mock driver too.
    nomad) chosen=${NOMAD_BIN:-} package=github.com/hashicorp/nomad tags=hashicorpmetrics ;;
    versitygw) chosen=${VERSITYGW_BIN:-} package=github.com/versity/versitygw/cmd/versitygw tags= ;;
    *) echo "usage: ${0##*/} nomad|versitygw" >&2; exit 2 ;;
esac

if [ -n "$chosen" ]; then
    [ -x "$chosen" ] || { echo "$chosen, the $name that was chosen, is not a program" >&2; exit 2; }
    echo "$chosen"
    exit 0
fi
if found=$(command -v "$name"); then
    echo "$found"
    exit 0
fi

module=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/$name
version=$(awk -v name="/$name" '{ at = $1 == "require" ? 2 : 1 }
    $at ~ name "$" && $(at + 1) ~ /^v/ && $(at + 2) !~ /=>/ { print $(at + 1); exit }' "$module/go.mod")
folder=${XDG_CACHE_HOME:-$HOME/.cache}/coordinator/$name-$version
binary=$folder/$name

build() {
    # Written aside and renamed: a killed build never leaves half a program.
    (cd "$module" && CGO_ENABLED=0 go build -trimpath -tags "$tags" -ldflags "-s -w" \
        -o "$binary.part" "$package") >&2
    mv -f "$binary.part" "$binary"
}

if [ ! -x "$binary" ]; then
    command -v go >/dev/null || { echo "neither $name nor go is installed" >&2; exit 2; }
    mkdir -p "$folder"
    exec 9>"$folder/lock"
    flock 9 # of two at once, the second waits and finds it built
    if [ ! -x "$binary" ]; then
        echo "Building $name $version into $folder (once, some minutes)" >&2
        build
    fi
fi
echo "$binary"
