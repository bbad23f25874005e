#!/usr/bin/env bash
# Installs Debian packages for commands or files that are missing, and fails
# when it cannot: a check whose tool is absent must not look like one that passed.
#
#   apt.sh openssl javac=default-jdk-headless /etc/ssl/certs/ca-certificates.crt=ca-certificates
#
# Each argument is COMMAND, COMMAND=PACKAGE or /PATH=PACKAGE.
set -Eeuo pipefail

present() {
	case $1 in
	/*) [[ -e $1 ]] ;;
	*) command -v "$1" >/dev/null 2>&1 ;;
	esac
}

packages=()
for want in "$@"; do
	present "${want%%=*}" || packages+=("${want#*=}")
done
((${#packages[@]})) || exit 0

if ! command -v apt-get >/dev/null || ((EUID != 0)); then
	echo "apt.sh: these are missing, and installing them needs Debian's apt-get as root: ${packages[*]}" >&2
	exit 1
fi
echo "installing ${packages[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { apt-get install -y --no-install-recommends "${packages[@]}" >>"$log" 2>&1; }
if ! { apt-get update >>"$log" 2>&1 && install; }; then
	cat "$log" >&2
	echo "apt.sh: could not install ${packages[*]}" >&2
	exit 1
fi
for want in "$@"; do
	if ! present "${want%%=*}"; then
		echo "apt.sh: ${want#*=} is installed but ${want%%=*} is still missing" >&2
		exit 1
	fi
done
