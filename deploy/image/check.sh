#!/usr/bin/env bash
# Looks into a built image and runs what is in it: check.sh IMAGE VERSION.
# BUILDAH is the buildah command that knows the image. Needs root, since it
# mounts the image and runs the binary there as the image's user.
set -Eeuo pipefail

image=$1 version=$2
read -ra buildah <<<"${BUILDAH:-buildah --storage-driver vfs}"
port=${CHECK_PORT:-13129}

fail() {
	echo "image: $*" >&2
	exit 1
}
is() { # is NAME GOT WANT
	[[ $2 == "$3" ]] || fail "$1 is ${2:-empty}, want $3"
	echo "image: $1 = $2"
}
config() { "${buildah[@]}" inspect --type image --format "{{ $1 }}" "$image"; }

is user "$(config .Docker.Config.User)" 65532:65532
is entrypoint "$(config .Docker.Config.Entrypoint)" '[/usr/local/bin/sallyport]'
is command "$(config .Docker.Config.Cmd)" '[serve]'
is healthcheck "$(config .Docker.Config.Healthcheck.Test)" '[CMD /usr/local/bin/sallyport healthcheck]'
is volume "$(config .Docker.Config.Volumes)" 'map[/var/lib/sallyport:{}]'
is 'stop signal' "$(config .Docker.Config.StopSignal)" SIGTERM
is licence "$(config 'index .Docker.Config.Labels "org.opencontainers.image.licenses"')" Apache-2.0
is version "$(config 'index .Docker.Config.Labels "org.opencontainers.image.version"')" "$version"

container=$("${buildah[@]}" from --pull-never "$image")
server=
log=$(mktemp)
cleanup() {
	[[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true
	"${buildah[@]}" rm "$container" >/dev/null || true
	rm -f "$log"
}
trap cleanup EXIT
root=$("${buildah[@]}" mount "$container")

is files "$(cd "$root" && find . -type f | sort | xargs)" \
	'./etc/group ./etc/passwd ./etc/ssl/certs/ca-certificates.crt ./usr/local/bin/sallyport'
is 'state directory' "$(stat -c '%u:%g %a' "$root/var/lib/sallyport")" '65532:65532 700'
is 'its parent' "$(stat -c '%u:%g %a' "$root/var/lib")" '0:0 755'
is /tmp "$(stat -c '%u:%g %a' "$root/tmp")" '0:0 1777'
is 'setuid and writable files' "$(find "$root" ! -type l ! -path "$root/tmp" \( -perm /6000 -o -perm -0002 \) | wc -l)" 0
! readelf -lW "$root/usr/local/bin/sallyport" | grep -q INTERP || fail 'the binary is not static'
echo 'image: the binary is static'

# The image has no /proc and no /dev here: what it needs of them would be missed.
# The environment is the image's; mapfile fails on no line, so env is never bare.
mapfile -t env < <(config 'range .Docker.Config.Env }}{{ . }}
{{ end ' | sed '/^$/d')
in_image() { env -i "${env[@]}" "$@"; }
binary=/usr/local/bin/sallyport
as_user=(chroot --userspec=65532:65532 "$root")
said=$(in_image "${as_user[@]}" "$binary" version)
[[ $said == *"$version"* ]] || fail "'sallyport version' says '$said', not $version"
echo "image: runs: $said"

# One server, started as the image starts it but for the ports.
ports=(SALLYPORT_LISTEN=127.0.0.1:0 "SALLYPORT_ADMIN_LISTEN=127.0.0.1:$port")
if in_image "${ports[@]}" "${as_user[@]}" "$binary" healthcheck >/dev/null 2>&1; then
	fail 'healthcheck says yes with no server'
fi
env -i "${env[@]}" "${ports[@]}" "${as_user[@]}" "$binary" serve >"$log" 2>&1 & # no function: it would have a shell between
server=$!
for _ in {1..50}; do
	kill -0 "$server" 2>/dev/null || { cat "$log" >&2; fail 'serve ended by itself'; }
	if in_image "${ports[@]}" "${as_user[@]}" "$binary" healthcheck >/dev/null 2>&1; then
		echo 'image: healthcheck: yes while serve runs, no before'
		kill -TERM "$server"
		wait "$server" || { cat "$log" >&2; fail 'SIGTERM did not end serve with 0'; }
		server=
		echo 'image: SIGTERM: drained, exit code 0'
		exit 0
	fi
	sleep 0.2
done
cat "$log" >&2
fail 'serve was not healthy within 10 s'
