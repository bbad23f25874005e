#!/bin/sh
# After the files are gone, in deb (remove, purge, upgrade, …) and rpm (0, on an
# upgrade 1). The state directory stays, also on purge: it holds the grants, and
# one that is lost has its customer authorise again.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
case "$1" in
purge | 0)
	echo 'sallyport: /var/lib/sallyport (in /var/lib/private) is kept: it holds grants. Revoke them at Salesforce before you delete it.'
	;;
esac
