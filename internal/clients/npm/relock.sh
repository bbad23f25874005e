#!/usr/bin/env bash
# Makes package-lock.json anew from package.json, without a single address in it.
set -Eeuo pipefail
cd "$(dirname "$0")"
npm install --package-lock-only --no-progress --loglevel=error
python3 - <<-'EOF'
	import json
	with open("package-lock.json") as f:
	    lock = json.load(f)
	for package in lock["packages"].values():
	    package.pop("resolved", None)
	    package.pop("funding", None)
	with open("package-lock.json", "w") as f:
	    json.dump(lock, f, indent=2, ensure_ascii=False)
	    f.write("\n")
EOF
if grep -n '://' package-lock.json; then
	echo 'relock.sh: an address is left in package-lock.json' >&2
	exit 1
fi
