#!/usr/bin/env bash
# Writes the SBOM (CycloneDX, JSON) of one archive or package, for goreleaser,
# which runs it in dist/release: sbom.sh ARTIFACT DOCUMENT VERSION TIMESTAMP.
# The modules are those that the binary in the artifact names; licences and
# hashes come from the module cache. The same artifact gives the same document.
set -Eeuo pipefail

artifact=$(realpath "$1") document=$(realpath -m "$2") version=v${3#v} timestamp=$4
here=$(dirname "$(realpath "$0")")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
sum() { sha256sum <"$1" | cut -d' ' -f1; }

"$here/unpack.sh" "$artifact" "$dir"
binary=$(find "$dir" -type f -name sallyport -perm -0100)
[[ -f $binary ]] || { echo "sbom.sh: $artifact holds no binary, or several: $binary" >&2; exit 1; }
cd "$here/../.."

# A platform's archive and packages hold one binary. Nothing is downloaded: the
# build has just used every module.
modules=dist/packages/$(sum "$binary").json
if [[ ! -f $modules ]]; then
	GOPROXY=off bin/cyclonedx-gomod bin -json -licenses -std -noserial -notimestamp -version "$version" -output "$dir/modules.json" "$binary" >"$dir/said" 2>&1 || {
		cat "$dir/said" >&2
		exit 1
	}
	mv "$dir/modules.json" "$modules"
fi
# What the tool can't know: the artifact, the commit's time, the licence of what
# is in no module cache, or in words that it doesn't recognise. Its own hash is the builder's business.
jq --arg name "$(basename "$artifact")" --arg sum "$(sum "$artifact")" --arg at "$(date -u -d "@$timestamp" +%FT%TZ)" '
	def licence(id): .licenses = [{license: {id: id}}];
	del(.metadata.tools[].hashes)
	| .metadata.timestamp = $at
	| .metadata.component |= licence("Apache-2.0")
	| .metadata.properties += [{name: "sallyport:artifact:name", value: $name}, {name: "sallyport:artifact:hash:SHA-256", value: $sum}]
	| .components |= map(
		if .name == "std" then licence("BSD-3-Clause")
		elif IN(.name; "github.com/cenkalti/backoff/v5", "go.etcd.io/bbolt") then licence("MIT")
		else . end)
' "$modules" >"$document"
