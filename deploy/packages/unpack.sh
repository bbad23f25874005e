#!/usr/bin/env bash
# Unpacks a tar.gz, deb or rpm into a directory: unpack.sh ARTIFACT DIRECTORY.
# Runs nothing of it.
set -Eeuo pipefail

case $1 in
*.tar.gz) tar -xzf "$1" -C "$2" ;;
*.deb) dpkg-deb -x "$1" "$2" ;;
*.rpm) bsdtar -xf "$1" -C "$2" ;; # Debian's rpm2cpio exits with 1 after a whole payload
*)
	echo "unpack.sh: $1 is no tar.gz, deb or rpm" >&2
	exit 1
	;;
esac
