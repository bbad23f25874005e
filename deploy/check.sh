#!/usr/bin/env bash
# Checks what people deploy and watch sallyport with, by a built binary:
# check.sh BINARY. The systemd unit must be valid, its binary there, and its
# exposure, as systemd rates it, below 2.0. Prometheus' rules must be valid and
# pass their tests; all that rules, dashboard and runbooks name must exist in a
# running serve; the guides are followed. The other files in YAML are checked by this directory's tests.
set -Eeuo pipefail

binary=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
unit=$here/systemd/sallyport.service
"$here/../internal/tools/apt.sh" systemd-analyze=systemd redis-server redis-cli=redis-tools curl promtool=prometheus prometheus-blackbox-exporter

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

cd "$here"
promtool check config prometheus/prometheus.yml # the rules too
promtool test rules prometheus/rules_test.yml
said=$(prometheus-blackbox-exporter --config.check --config.file prometheus/blackbox.yml 2>&1) || { echo "$said" >&2; exit 1; }
echo 'deploy: the probes are valid'
"${GO:-go}" test -tags live -count=1 -timeout 100s . -binary "$binary"
"${GO:-go}" test -tags live -count=1 -timeout 8m ./guides -binary "$binary" # each is followed, step by step
