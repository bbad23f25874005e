#!/usr/bin/env bash
# Checks the systemd unit with a built binary: check.sh BINARY. It must be
# valid, its binary there, and its exposure, as systemd rates it, below 2.0.
# The files in YAML are checked by the tests of this directory.
set -Eeuo pipefail

binary=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
unit=$here/systemd/sallyport.service
"$here/../internal/tools/apt.sh" systemd-analyze=systemd

[[ -f $binary && -x $binary ]] || { echo "deploy: $binary is not a program" >&2; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
sed "s#^ExecStart=/usr/local/bin/sallyport #ExecStart=$binary #" "$unit" >"$dir/sallyport.service"
grep -q "^ExecStart=$binary " "$dir/sallyport.service" || { echo "deploy: no ExecStart= of /usr/local/bin/sallyport in $unit" >&2; exit 1; }

# It warns about a key that it doesn't know and exits with 0 all the same.
said=$(systemd-analyze verify --man=no "$dir/sallyport.service" 2>&1) || { echo "$said" >&2; exit 1; }
if grep -q "$dir" <<<"$said"; then
	echo "$said" >&2
	exit 1
fi
echo 'deploy: the unit is valid'

# In tenths, as a threshold of 20; exit code 1 above it.
report=$(systemd-analyze security --offline=true --no-pager --threshold=19 "$dir/sallyport.service") || {
	grep -v '✓' <<<"$report" >&2
	echo 'deploy: the unit is more exposed than 1.9' >&2
	exit 1
}
grep 'Overall exposure' <<<"$report"
