#!/usr/bin/env bash
# Checks the Terraform modules without a cloud, a registry or a provider:
# check.sh [SALLYPORT], a built binary, bin/sallyport where none is given. What it
# shows, and what it can't, is in README.md.
#
# OpenTofu and tflint are built into bin/ where they are missing or older than
# their pins in internal/tools, which takes minutes.
set -Eeuo pipefail

here=$(dirname "$(realpath "$0")")
root=$(realpath "$here/../..")
sallyport=$(realpath "${1:-$root/bin/sallyport}")
GO=${GO:-go}
[[ -x $sallyport ]] || { echo "terraform: $sallyport is not a program; make build makes it" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
: >"$scratch/tofu.rc"
export GOTOOLCHAIN=local CHECKPOINT_DISABLE=1 TF_IN_AUTOMATION=1 TF_CLI_CONFIG_FILE=$scratch/tofu.rc
unset TF_CLI_ARGS TF_DATA_DIR TF_WORKSPACE

tool() { # tool NAME PACKAGE
	local pins=$root/internal/tools/$1 program=$root/bin/$1
	if [[ ! -x $program || $pins/go.mod -nt $program || $pins/go.sum -nt $program ]]; then
		echo "terraform: building $1, which takes minutes"
		nice "$GO" build -C "$pins" -o "$program" "$2"
	fi
	"$program" --version | sed -n 1p
}
tool tofu github.com/opentofu/opentofu/cmd/tofu
tool tflint github.com/terraform-linters/tflint
tofu=$root/bin/tofu tflint=$root/bin/tflint

"$tofu" fmt -check -diff -recursive "$here"
echo 'terraform: formatted'

for module in "$here"/modules/*/; do
	name=$(basename "$module")
	export TF_DATA_DIR=$scratch/$name
	"$tofu" -chdir="$module" init -backend=false -input=false >/dev/null
	"$tofu" -chdir="$module" validate
	said=$("$tofu" -chdir="$module" test -no-color) || { echo "$said" >&2; exit 1; }
	# With no test at all it is content too.
	grep -E '^Success! [1-9][0-9]* passed, 0 failed' <<<"$said" || { echo "terraform: modules/$name has no tests" >&2; exit 1; }
done
unset TF_DATA_DIR

lint() { "$tflint" --chdir="$1" --recursive --config="$here/.tflint.hcl" --format=compact; }
lint "$here"
mkdir "$scratch/bad"
printf 'variable "x" {}\n' >"$scratch/bad/main.tf"
if lint "$scratch/bad" >/dev/null; then
	echo 'terraform: tflint finds nothing in a variable without type and description' >&2
	exit 1
fi
echo 'terraform: linted'

cd "$here/check"
"$GO" test -count=1 -timeout 20m ./... -tofu "$tofu" -sallyport "$sallyport"
