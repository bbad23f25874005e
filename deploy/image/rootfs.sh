#!/bin/sh
# Lays out the file system of the image in a directory: the static binary, CA
# roots, a user, and nothing to run a shell with. The Dockerfile runs it in a
# Go image; where none can be pulled, `make image` runs it on the host.
# Needs Go, CA roots, and VERSION and COMMIT in the environment.
set -eu

out=$1
rm -rf "$out"
mkdir -p "$out/etc/ssl/certs" "$out/usr/local/bin" "$out/var/lib"
CGO_ENABLED=0 GOTOOLCHAIN=local go build -trimpath -buildvcs=false \
	-ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT" \
	-o "$out/usr/local/bin/sallyport" ./cmd/sallyport
cp -L /etc/ssl/certs/ca-certificates.crt "$out/etc/ssl/certs/"
echo 'sallyport:x:65532:65532:sallyport:/var/lib/sallyport:/usr/local/bin/sallyport' >"$out/etc/passwd"
echo 'sallyport:x:65532:' >"$out/etc/group"
chmod 0644 "$out"/etc/passwd "$out"/etc/group "$out"/etc/ssl/certs/ca-certificates.crt
mkdir -m 1777 "$out/tmp"
# Copied into var/lib on its own, since it belongs to the user and the rest to root.
rm -rf "$out.state"
mkdir "$out.state"
mkdir -m 0700 "$out.state/sallyport"
