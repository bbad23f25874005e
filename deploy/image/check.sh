#!/usr/bin/env bash
# Looks into a built image, runs what is in it, and builds it once more, which
# must give the same: check.sh IMAGE VERSION, in the repository's root, as make
# image has left it. BUILDAH is the buildah command that knows the image. Needs
# root, since it mounts the image and runs the binary there as the image's user.
set -Eeuo pipefail

internal/tools/apt.sh jq readelf=binutils
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
is ports "$(config .Docker.Config.ExposedPorts)" 'map[3128/tcp:{} 3129/tcp:{}]'
label() { config "index .Docker.Config.Labels \"org.opencontainers.image.$1\""; }
is title "$(label title)" sallyport
is description "$(label description)" 'A forward proxy that puts Salesforce OAuth tokens into API calls'
is licence "$(label licenses)" Apache-2.0
is source "$(label source)" https://github.com/sallyport/sallyport
is version "$(label version)" "$version"
commit=$(label revision)
[[ $commit =~ ^([0-9a-f]{40}|unknown)$ ]] || fail "the revision is $commit, no commit"

# Nothing that was meant for the build alone has stayed: two arguments, one
# variable beside the path, and layers that are copies of what is listed below.
is 'environment' "$(config 'range .Docker.Config.Env }}{{ . }} {{ end' | xargs)" \
	'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SALLYPORT_STATE_DIR=/var/lib/sallyport'
history=$(config 'range .OCIv1.History }}{{ .CreatedBy }}
{{ end' | sed -E 's#^/bin/sh -c \#\(nop\) +##;/^$/d')
is 'arguments of the build' "$(sed -n 's/^ARG //p' <<<"$history" | tr ' ' '\n' | sed 's/=.*//' | sort -u | xargs)" 'COMMIT VERSION'
is 'steps of the history' "$(cut -d' ' -f1 <<<"$history" | sort -u | xargs)" \
	'ARG CMD COPY ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL STOPSIGNAL USER VOLUME WORKDIR'
# Bases are arguments, for whoever has images of their own.
is 'bases in the Dockerfile' "$(sed -nE 's/^FROM ([^ ]+).*/\1/p' Dockerfile | tr -d '\044{}' | sort -u | xargs)" 'BASE_IMAGE BUILD_IMAGE runtime'

container=$("${buildah[@]}" from --pull-never "$image")
server=
dir=$(mktemp -d)
log=$dir/log
cleanup() {
	[[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true
	"${buildah[@]}" rm "$container" >/dev/null || true
	"${buildah[@]}" rmi "$image-again" >/dev/null 2>&1 || true
	rm -rf "$dir"
}
trap cleanup EXIT
root=$("${buildah[@]}" mount "$container")

is files "$(cd "$root" && find . -type f | sort | xargs)" \
	'./etc/group ./etc/passwd ./etc/ssl/certs/ca-certificates.crt ./usr/local/bin/sallyport'
is 'state directory' "$(stat -c '%u:%g %a' "$root/var/lib/sallyport")" '65532:65532 700'
is 'its parent' "$(stat -c '%u:%g %a' "$root/var/lib")" '0:0 755'
is /tmp "$(stat -c '%u:%g %a' "$root/tmp")" '0:0 1777'
is 'setuid and writable files' "$(find "$root" ! -type l ! -path "$root/tmp" \( -perm /6000 -o -perm -0002 \) | wc -l)" 0
! readelf -lW "$root/usr/local/bin/sallyport" | grep INTERP >/dev/null || fail 'the binary is not static'
echo 'image: the binary is static'
for secret in 'PRIVATE KEY-----' "$PWD"; do # the CA roots are certificates
	! grep -rqaF -- "$secret" "$root/etc" || fail "etc holds $secret"
done
! grep -qaF -- "$PWD" "$root/usr/local/bin/sallyport" || fail "the binary names $PWD"
echo 'image: no key, and no path of the builder'

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

# One server, started as the image starts it but for the ports. Its root may be
# read-only: beside the state directory nothing changes.
state() { (cd "$root" && find . -path ./var/lib/sallyport -prune -o -printf '%p %m %U:%G %s %T@ %C@ %l\n' | sort); }
before=$(state)
ports=(SALLYPORT_LISTEN=127.0.0.1:0 "SALLYPORT_ADMIN_LISTEN=127.0.0.1:$port")
if in_image "${ports[@]}" "${as_user[@]}" "$binary" healthcheck >/dev/null 2>&1; then
	fail 'healthcheck says yes with no server'
fi
env -i "${env[@]}" "${ports[@]}" "${as_user[@]}" "$binary" serve >"$log" 2>&1 & # no function: it would have a shell between
server=$!
healthy=
for _ in {1..50}; do
	kill -0 "$server" 2>/dev/null || { cat "$log" >&2; fail 'serve ended by itself'; }
	if in_image "${ports[@]}" "${as_user[@]}" "$binary" healthcheck >/dev/null 2>&1; then
		healthy=yes
		break
	fi
	sleep 0.2
done
[[ $healthy ]] || { cat "$log" >&2; fail 'serve was not healthy within 10 s'; }
echo 'image: healthcheck: yes while serve runs, no before'
is 'user of the process' "$(awk '/^Uid/ { print $2 }' "/proc/$server/status")" 65532
kill -TERM "$server"
wait "$server" || { cat "$log" >&2; fail 'SIGTERM did not end serve with 0'; }
server=
echo 'image: SIGTERM: drained, exit code 0'
diff <(echo "$before") <(state) >&2 || fail 'serve writes outside the state directory'
[[ -n $(find "$root/var/lib/sallyport" -type f) ]] || fail 'serve has kept nothing in the state directory'
echo 'image: serve has written to the state directory alone'

# Again, from files that are laid out anew elsewhere. buildah invents a host's
# name for each stage and writes it, and the digest that follows from it, into
# the configuration, so the images' digests differ; all else is the same.
mkdir "$dir/context" "$dir/context/dist"
cp Dockerfile .dockerignore "$dir/context/"
VERSION=$version COMMIT=$commit deploy/image/rootfs.sh "$dir/context/dist/rootfs"
created=$(date -d "$(config .OCIv1.Created | cut -d' ' -f1,2) UTC" +%s)
"${buildah[@]}" bud --isolation chroot --format docker --timestamp "$created" --target prebuilt \
	--build-arg VERSION="$version" --build-arg COMMIT="$commit" -t "$image-again" "$dir/context" >"$log" 2>&1 || { cat "$log" >&2; fail 'the second build failed'; }
whole() { "${buildah[@]}" inspect --type image "$1" | jq -S '[.OCIv1, (.Docker | .config, .rootfs)] | walk(if type == "object" then del(.Hostname, .comment) else . end)'; }
diff <(whole "$image") <(whole "$image-again") >&2 || fail 'the same source gave another image'
echo "image: the same source gives the same layers and configuration: $("${buildah[@]}" inspect --type image "$image" | jq -r '.OCIv1.rootfs.diff_ids | join(" ")')"
