# One command of the sf CLI a round, in turn; the first logs in. loop.sh runs it.
# shellcheck shell=bash
# has PATTERN COMMAND... demands the pattern of what a command says, or shows that.
has() {
	local pattern=$1 said
	shift
	said=$("$@" 2>&1) && grep -q -- "$pattern" <<<"$said" && return
	printf '%s\n' "$said" >&2
	return 1
}

step=$(cat "$HOME/step" 2>/dev/null || echo 0)
echo $((step + 1)) >"$HOME/step"
if [[ ! -e $HOME/in ]]; then
	SF_ACCESS_TOKEN=$ACCESS_TOKEN has '"status": 0' sf org login access-token --instance-url "$INSTANCE_URL" --no-prompt --alias acme --json
	touch "$HOME/in"
	exit 0
fi
cd "$HOME" || exit
case $((step % 3)) in
0) has DailyApiRequests sf api request rest --target-org acme 'services/data/v65.0/limits' ;;
1) has '"totalSize": 7' sf data query --target-org acme --query 'SELECT Id, Name FROM Account LIMIT 7' --json ;;
2)
	printf 'Name\nAcme\nUmbrella\n' >rows.csv
	has '"processedRecords": 2' sf data import bulk --target-org acme --sobject Account --file rows.csv --wait 5 --json
	;;
esac
