#!/usr/bin/env bash
# Checks the Helm chart by a built binary: check.sh BINARY. The chart must pass
# helm's lint with every value set of its ci directory; what it renders must be
# what Kubernetes takes, locked down, and refused where it would lose a grant;
# the binary must start with what its pods would give it; the package must have
# what it needs. Beyond Go's modules nothing is downloaded. Redis is Debian's.
set -Eeuo pipefail

binary=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
root=$(realpath "$here/../..")
helm=$root/bin/helm
"$root/internal/tools/apt.sh" redis-server

[[ -f $binary && -x $binary ]] || { echo "helm: $binary is not a program" >&2; exit 1; }
if [[ ! -x $helm || $root/internal/tools/helm/go.mod -nt $helm ]]; then
	echo 'helm: building helm, which takes minutes'
	"${GO:-go}" build -C "$root/internal/tools/helm" -o "$helm" helm.sh/helm/v3/cmd/helm
	touch "$helm" # also where the build changed nothing
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HELM_CACHE_HOME=$dir HELM_CONFIG_HOME=$dir HELM_DATA_HOME=$dir
cmp "$root/deploy/prometheus/rules.yml" "$here/sallyport/files/rules.yml" || {
	echo 'helm: the chart has other rules: cp deploy/prometheus/rules.yml deploy/helm/sallyport/files/' >&2
	exit 1
}
for values in "$here"/sallyport/ci/*-values.yaml; do
	said=$("$helm" lint --strict --quiet --kube-version 1.30.0 --values "$values" "$here/sallyport") || { echo "$said" >&2; exit 1; }
done
echo 'helm: the chart passes lint'
cd "$here/check"
"${GO:-go}" vet ./...
"${GO:-go}" test -count=1 -timeout 5m . -helm "$helm" -binary "$binary"
