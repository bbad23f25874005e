#!/usr/bin/env bash
# Runs a script again and again until the file $STOP is there, or once with $ONCE,
# and prints one line of JSON a round.
set -Eeuo pipefail

while [[ ! -e $STOP ]]; do
	if said=$(bash -Eeuo pipefail "$1" 2>&1); then
		echo '{"ok":true}'
	else
		printf '{"ok":false,"error":"%s"}\n' "$(tr -c '[:alnum:] .,:;/_=<>()[]{}!-' ' ' <<<"${said:-it said nothing}" | head -c 2000)"
	fi
	[[ -z ${ONCE:-} ]] || break
	sleep "${PAUSE:-0.3}"
done
