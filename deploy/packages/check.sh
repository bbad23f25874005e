#!/usr/bin/env bash
# Makes a release without publishing it, and looks into all of it, which it
# leaves in dist/release: check.sh.
# Archives, packages, checksums and SBOMs must hold what they say; deb and rpm
# are installed, upgraded and removed in throw-away roots; what the deb brings is
# started; the same source must give the same bytes again elsewhere. Needs root
# for the roots, Debian's apt for tools, and minutes the first time.
set -Eeuo pipefail

here=$(dirname "$(realpath "$0")")
cd "$here/../.."
repo=$PWD
GO=${GO:-go}
export GOTOOLCHAIN=local
internal/tools/apt.sh dpkg-deb=dpkg rpm bsdtar=libarchive-tools jq lintian curl git /bin/busybox=busybox-static \
	systemd-analyze=systemd readelf=binutils
dir=$(mktemp -d)
server=
cleanup() {
	[[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT

fail() {
	echo "packages: $*" >&2
	exit 1
}
is() { # is NAME GOT WANT
	[[ $2 == "$3" ]] || fail "$1 is ${2:-empty}, want $3"
	echo "packages: $1 = $2"
}
sum() { sha256sum <"$1" | cut -d' ' -f1; }

mkdir -p bin
for tool in goreleaser/v2 cyclonedx-gomod/cmd/cyclonedx-gomod; do
	name=${tool%%/*}
	[[ bin/$name -nt internal/tools/goreleaser/go.mod ]] ||
		"$GO" build -C internal/tools/goreleaser -o "$repo/bin/$name" "$("$GO" list -C internal/tools/goreleaser tool | grep "/$tool\$")"
done

bin/goreleaser check
"$here/prepare.sh" "$dir/unit"
differs=$(diff <(sed '1,/^\[Unit\]$/d' deploy/systemd/sallyport.service) <(sed '1,/^\[Unit\]$/d' "$dir/unit/sallyport.service") | grep '^[<>]' || true)
is 'what differs in the packaged unit' "$differs" '< ExecStart=/usr/local/bin/sallyport serve
> ExecStart=/usr/bin/sallyport serve
> EnvironmentFile=-/etc/sallyport/sallyport.env'

# Two copies of one moment, so that an edit meanwhile makes no difference, at two
# paths. goreleaser asks for a remote, which a clone has and a bare start hasn't.
copy() { # copy DIRECTORY
	mkdir "$1"
	tar -x -C "$1" <"$dir/source.tar"
	cp -a .git "$1/"
	git -C "$1" remote add origin https://github.com/sallyport/sallyport.git 2>/dev/null || true
	ln -s "$repo/bin" "$1/bin"
}
git ls-files -z --cached --others --exclude-standard | tar -c --null --ignore-failed-read -f "$dir/source.tar" -T -
copy "$dir/once"
copy "$dir/elsewhere-again"
release() { # release DIRECTORY
	(cd "$1" && "$repo/bin/goreleaser" release --snapshot --clean --skip=publish) >"$dir/said" 2>&1 || { cat "$dir/said" >&2; fail 'goreleaser failed'; }
}
release "$dir/once"
mkdir -p dist
rm -rf dist/release
mv "$dir/once/dist/release" dist/
cd dist/release
version=$(jq -r .version metadata.json)
commit=$(jq -r .commit metadata.json)
is 'commit of the release' "$commit" "$(git -C "$dir/once" rev-parse HEAD)"
echo "packages: released $version"

# What there is, and that each of it is in the checksums.
one() { # one PATTERN: the only file that fits
	local files
	mapfile -t files < <(compgen -G "$1")
	((${#files[@]} == 1)) || fail "$1 fits ${#files[@]} files: ${files[*]}"
	echo "${files[0]}"
}
archives=() packages=()
for platform in linux_amd64 linux_arm64 darwin_arm64; do archives+=("$(one "sallyport_*_$platform.tar.gz")"); done
for pattern in '*_amd64.deb' '*_arm64.deb' '*.x86_64.rpm' '*.aarch64.rpm'; do packages+=("$(one "$pattern")"); done
wanted=$(printf '%s\n' "${archives[@]}" "${packages[@]}" | sed 'p;s/$/.cdx.json/' | sort)
is 'files in checksums.txt' "$(awk '{print $2}' checksums.txt | sort | xargs)" "$(xargs <<<"$wanted")"
sha256sum --quiet -c checksums.txt || fail 'a checksum is wrong'
echo 'packages: the checksums hold'

# Each artifact: what is in it, its binary, and its SBOM beside that binary.
for artifact in "${archives[@]}" "${packages[@]}"; do
	root=$dir/$artifact.d
	mkdir "$root"
	"$here/unpack.sh" "$artifact" "$root"
	case $artifact in
	*.tar.gz)
		is "files in $artifact" "$(find "$root" -type f -printf '%f %m %U:%G\n' | sort | xargs)" \
			'CHANGELOG.md 644 0:0 LICENSE 644 0:0 README.md 644 0:0 resources.yaml 644 0:0 sallyport 755 0:0 sallyport.service 644 0:0'
		;;
	*)
		is "files in $artifact" "$(cd "$root" && find . -type f ! -path './usr/share/*' -printf '%p %m\n' | sort | xargs)" \
			'./etc/sallyport/resources.yaml 600 ./etc/sallyport/sallyport.env 600 ./usr/bin/sallyport 755 ./usr/lib/systemd/system/sallyport.service 644'
		cmp "$root/usr/lib/systemd/system/sallyport.service" "$dir/unit/sallyport.service"
		;;
	esac
	binary=$(find "$root" -name sallyport -type f -perm -0100)
	case $artifact in
	*darwin*) platform='darwin arm64' ;;
	*arm64* | *aarch64*) platform='linux arm64' ;;
	*) platform='linux amd64' ;;
	esac
	"$GO" version -m "$binary" >"$dir/built"
	setting() { awk -v name="$1" '$1 == "build" && sub("^" name "=", "", $2) { print $2 }' "$dir/built"; }
	is "platform of $artifact" "$(setting GOOS) $(setting GOARCH)" "$platform"
	is 'its cgo and trimpath' "$(setting CGO_ENABLED) $(setting -trimpath)" '0 true'
	if [[ $platform == linux* ]]; then
		! readelf -lW "$binary" | grep INTERP >/dev/null || fail "the binary in $artifact is not static"
	fi
	! grep -qaF "$dir" "$binary" || fail "the binary in $artifact names the place where it was built"

	property() { jq -r --arg name "$1" '.metadata.properties[] | select(.name == $name) | .value' "$artifact.cdx.json"; }
	[[ $(property sallyport:artifact:hash:SHA-256) == $(sum "$artifact") ]] || fail "$artifact.cdx.json is another artifact's"
	[[ $(property cdx:gomod:binary:hash:SHA-256) == $(sum "$binary") ]] || fail "$artifact.cdx.json is of another binary"
	awk '$1 == "dep" { print $2, $3 }' "$dir/built" | sort >"$dir/modules"
	[[ -s $dir/modules ]] || fail "the binary in $artifact names no module"
	jq -r '.components[] | select(.name != "std") | .name + " " + .version' "$artifact.cdx.json" | sort |
		diff "$dir/modules" - || fail "$artifact.cdx.json names other modules than its binary"
	is 'standard library in the SBOM' "$(jq -r '.components[] | select(.name == "std") | .version' "$artifact.cdx.json")" "$(awk 'NR == 1 { print $2 }' "$dir/built")"
	nameless=$(jq -r '.components[] | select((.licenses // .evidence.licenses // []) == []) | .name' "$artifact.cdx.json")
	is "modules without a licence, of $(wc -l <"$dir/modules")" "${nameless:-none}" none
done

said=$("$dir/${packages[0]}.d/usr/bin/sallyport" version)
[[ $said == *" $version "*"$commit"* ]] || fail "'sallyport version' says '$said', not $version and $commit"
echo "packages: runs: $said"

deb=${packages[0]} rpm=${packages[2]}
# Its warnings are of what is meant: files that only root reads, and goreleaser's own fields.
lintian --allow-root --fail-on error,warning --suppress-tags no-changelog,initial-upload-closes-no-bugs "$deb" || fail 'lintian has found something that .goreleaser.yaml gives no reason for'
echo 'packages: lintian finds nothing'
is conffiles "$(dpkg-deb --ctrl-tarfile "$deb" | tar -xO ./conffiles | xargs)" '/etc/sallyport/resources.yaml /etc/sallyport/sallyport.env'
is 'configuration files of the rpm' "$(rpm -qp --configfiles "$rpm" | xargs)" '/etc/sallyport/resources.yaml /etc/sallyport/sallyport.env'
rpm -qpl "$rpm" | grep -x /usr/bin/sallyport >/dev/null || fail "no binary in $rpm"

# A root with a shell and a systemctl that says what it was asked.
new_root() {
	mkdir -p "$1"/{bin,run/systemd/system,var/lib/sallyport} "$1"/var/lib/dpkg/{info,updates,triggers}
	touch "$1/var/lib/dpkg/status" "$1/var/lib/dpkg/available" "$1/asked" "$1/var/lib/sallyport/grants.db"
	cp /bin/busybox "$1/bin/sh"
	printf '#!/bin/sh\necho "$*" >>/asked\n' >"$1/bin/systemctl"
	chmod +x "$1/bin/systemctl"
}
asked() { xargs <"$1/asked"; : >"$1/asked"; }
kept() { # kept ROOT: what an operator had changed
	[[ $(tail -1 "$1/etc/sallyport/sallyport.env") == '# mine' ]] || fail "$2 has overwritten sallyport.env"
}
for kind in deb rpm; do
	root=$dir/$kind
	new_root "$root"
	if [[ $kind == deb ]]; then
		# shellcheck disable=SC2317
		run() { dpkg --root="$root" --log=/dev/null "${@:2}" >"$dir/said" 2>&1 || { cat "$dir/said" >&2; fail "dpkg: $1"; }; }
		install=(--install "$PWD/$deb") upgrade=(--install "$PWD/$deb") remove=(--purge sallyport)
	else
		run() { rpm --root "$root" --force-debian --nodeps --nosignature "${@:2}" >"$dir/said" 2>&1 || { cat "$dir/said" >&2; fail "rpm: $1"; }; }
		install=(-i "$PWD/$rpm") upgrade=(-U --force "$PWD/$rpm") remove=(-e sallyport)
	fi
	run install "${install[@]}"
	is "$kind: what systemctl is asked at installation" "$(asked "$root")" daemon-reload
	grep -q 'enable --now sallyport' "$dir/said" || fail "$kind: installation doesn't say how to start"
	is "$kind: /etc/sallyport" "$(stat -c '%a %u:%g %n' "$root"/etc/sallyport{,/*} | sed "s#$root##" | xargs)" \
		'750 0:0 /etc/sallyport 600 0:0 /etc/sallyport/resources.yaml 600 0:0 /etc/sallyport/sallyport.env'
	is "$kind: the binary that is installed" "$(sum "$root/usr/bin/sallyport")" "$(sum "$dir/${packages[0]}.d/usr/bin/sallyport")"
	echo '# mine' >>"$root/etc/sallyport/sallyport.env"
	run upgrade "${upgrade[@]}"
	is "$kind: at an upgrade" "$(asked "$root" | tr ' ' '\n' | sort -u | xargs)" daemon-reload
	kept "$root" "$kind: an upgrade"
	if [[ $kind == deb ]]; then
		cp -a "$root" "$dir/installed"
		run remove --remove sallyport
		is 'deb: at a removal' "$(asked "$root")" '--no-reload disable --now sallyport.service daemon-reload'
		kept "$root" 'deb: a removal'
		run purge "${remove[@]}"
		is 'deb: at a purge' "$(asked "$root")" daemon-reload
		[[ ! -e $root/etc/sallyport ]] || fail 'deb: a purge leaves /etc/sallyport'
	else
		run remove "${remove[@]}"
		is 'rpm: at a removal' "$(asked "$root")" '--no-reload disable --now sallyport.service daemon-reload'
		[[ $(tail -1 "$root/etc/sallyport/sallyport.env.rpmsave") == '# mine' ]] || fail 'rpm: a removal loses what was changed'
	fi
	[[ ! -e $root/usr/bin/sallyport && ! -e $root/usr/lib/systemd/system/sallyport.service ]] || fail "$kind: files are left behind"
	[[ -e $root/var/lib/sallyport/grants.db ]] || fail "$kind: a removal deletes grants"
	grep -q 'is kept' "$dir/said" || fail "$kind: a removal doesn't say that grants are kept"
	echo "packages: $kind: removed, grants are kept, and it says so"
done

# The unit as it is installed, with the binary where the root is.
unit=$dir/verify/sallyport.service
mkdir "$dir/verify"
sed "s#^ExecStart=/usr/bin/sallyport #ExecStart=$dir/installed/usr/bin/sallyport #" "$dir/installed/usr/lib/systemd/system/sallyport.service" >"$unit"
said=$(systemd-analyze verify --man=no "$unit" 2>&1) || { echo "$said" >&2; fail 'the packaged unit is not valid'; }
! grep "$unit" <<<"$said" >&2 || fail 'the packaged unit is not valid'
report=$(systemd-analyze security --offline=true --no-pager --threshold=19 "$unit") || { grep -v '✓' <<<"$report" >&2; fail 'the packaged unit is more exposed than 1.9'; }
grep 'Overall exposure' <<<"$report"

# Started as the unit says: its environment, systemd's specifiers filled in, the
# examples as they come.
listen=127.0.0.1:${CHECK_PORT:-13138} admin=127.0.0.1:${CHECK_ADMIN_PORT:-13139}
mapfile -t env < <({
	sed -n 's/^Environment=//p' "$dir/installed/usr/lib/systemd/system/sallyport.service"
	grep -v '^#' "$dir/installed/etc/sallyport/sallyport.env"
} | sed "/^$/d;s#%S#$dir/state#;s#%d#$dir/installed/etc/sallyport#")
mkdir -m 0700 "$dir/state"
env+=("SALLYPORT_LISTEN=$listen" "SALLYPORT_ADMIN_LISTEN=$admin")
binary=$dir/installed/usr/bin/sallyport
env -i "${env[@]}" "$binary" serve >"$dir/log" 2>&1 &
server=$!
for _ in {1..100}; do
	kill -0 "$server" 2>/dev/null || { cat "$dir/log" >&2; fail 'serve ended by itself'; }
	! env -i "${env[@]}" "$binary" healthcheck >/dev/null 2>&1 || break
	sleep 0.1
done
env -i "${env[@]}" "$binary" healthcheck || { cat "$dir/log" >&2; fail 'serve was not healthy within 10 s'; }
code=$(curl -s -o /dev/null -w '%{http_connect}' --proxy "http://$listen" https://acme.my.salesforce.com/ || true)
is 'answer to a caller without credentials' "$code" 407
kill -TERM "$server"
wait "$server" || { cat "$dir/log" >&2; fail 'SIGTERM did not end serve with 0'; }
server=

# The same source at another path: everything again by goreleaser, and the
# binary once more by a compiler that has no cache.
release "$dir/elsewhere-again"
diff checksums.txt "$dir/elsewhere-again/dist/release/checksums.txt" || fail 'the same source gave other files'
echo 'packages: the same source gives the same files elsewhere'
(cd "$dir/elsewhere-again" && GOCACHE=$dir/cache "$repo/bin/goreleaser" build --snapshot --clean --single-target) >"$dir/said" 2>&1 || { cat "$dir/said" >&2; fail 'goreleaser failed'; }
cold=$(compgen -G "$dir/elsewhere-again/dist/release/*/sallyport")
is 'binary by a compiler without a cache' "$(sum "$cold")" "$(sum "${cold#"$dir/elsewhere-again/dist/release/"}")"
