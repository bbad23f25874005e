#!/usr/bin/env bash
# Runs a script again and again until the file $STOP is there, and prints one
# line of JSON a round.
set -Eeuo pipefail

while [[ ! -e $STOP ]]; do
	if said=$(bash -Eeuo pipefail "$1" 2>&1); then
		echo '{"ok":true}'
	else
		printf '{"ok":false,"error":"%s"}\n' "$(tr -c '[:alnum:] .,:;/_=<>()[]{}!-' ' ' <<<"${said:-it said nothing}" | tail -c 600)"
	fi
	sleep "${PAUSE:-0.3}"
done
