#!/usr/bin/env bash
# Builds the collector of builder.yaml, has it validate config.yaml, and sends a
# race through it: check.sh BINARY [COLLECTOR]. It fetches and compiles some
# hundred modules, which takes minutes: COLLECTOR is one that was built before.
set -Eeuo pipefail

binary=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
GO=${GO:-go}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if (($# > 1)); then
	collector=$(realpath "$2")
else
	version=$(sed -n 's/^  version: //p' "$here/builder.yaml")
	GOBIN=$dir "$GO" install "go.opentelemetry.io/collector/cmd/builder@v$version"
	sed "s#output_path: .*#output_path: $dir/build#" "$here/builder.yaml" >"$dir/builder.yaml"
	"$dir/builder" --config "$dir/builder.yaml"
	collector=$dir/build/otelcol-sallyport
fi
OTLP_ENDPOINT=127.0.0.1:4317 OTLP_HEADERS=none KEEP_PERCENT=5 "$collector" validate --config "$here/config.yaml"
echo 'otelcol: the configuration is valid'
cd "$here/.."
"$GO" test -tags live,collector -count=1 -timeout 3m -run TestCollector . -binary "$binary" -otelcol "$collector"
