#!/bin/sh
# Before the files go, in deb (remove, upgrade, …) and rpm (0, on an upgrade 1).
# An upgrade leaves the service alone. A stop drains, which takes up to two minutes.
set -e

case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl --no-reload disable --now sallyport.service || true
	fi
	;;
esac
