#!/usr/bin/env bash
# Makes the unit that the packages bring from deploy/systemd/sallyport.service:
# prepare.sh DIRECTORY. Two lines differ: packages put the binary into /usr/bin,
# and read settings from a file that a package manager knows. The head loses how
# to install it by hand. Fails where the unit has no such lines any more.
set -Eeuo pipefail

out=$1
unit=$(dirname "$(realpath "$0")")/../systemd/sallyport.service
rm -rf "$out" # sbom.sh keeps what it has worked out here, too
mkdir -p "$out"
{
	cat <<'EOF'
# sallyport as a system service, on the embedded store. Settings go into
# /etc/sallyport/sallyport.env, what it serves into /etc/sallyport/resources.yaml,
# everything else, secrets as credentials too, into a drop-in (systemctl edit sallyport).
EOF
	sed -e '1,/^\[Unit\]$/{/^#/d}' \
		-e 's#^ExecStart=/usr/local/bin/sallyport #ExecStart=/usr/bin/sallyport #' \
		-e 's#^Environment=SALLYPORT_APPLY=.*#&\nEnvironmentFile=-/etc/sallyport/sallyport.env#' "$unit"
} >"$out/sallyport.service"

for line in '[Unit]' 'ExecStart=/usr/bin/sallyport serve' 'EnvironmentFile=-/etc/sallyport/sallyport.env'; do
	n=$(grep -cFx "$line" "$out/sallyport.service" || true)
	((n == 1)) || { echo "prepare.sh: the packaged unit has $n lines $line: $unit has changed" >&2; exit 1; }
done
if grep -n /usr/local "$out/sallyport.service" >&2; then
	echo "prepare.sh: the packaged unit speaks of /usr/local" >&2
	exit 1
fi
