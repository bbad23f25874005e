#!/bin/sh
# After the files are there, in deb (configure VERSION) and rpm (1, on an upgrade
# 2). Nothing is started: a machine's first start is its owner's, and a restart
# ends every tunnel, so a new binary waits for one too.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
case "$1:${2:-}" in
configure:?* | 2:*) echo 'sallyport: the new version runs after: systemctl restart sallyport' ;;
configure: | 1:*) echo 'sallyport: edit /etc/sallyport/resources.yaml, then: systemctl enable --now sallyport' ;;
esac
