# One command of the sf CLI a round, in turn; the first logs in. loop.sh runs it.
# shellcheck shell=bash
step=$(cat "$HOME/step" 2>/dev/null || echo 0)
echo $((step + 1)) >"$HOME/step"
if [[ ! -e $HOME/in ]]; then
	SF_ACCESS_TOKEN=$ACCESS_TOKEN sf org login access-token --instance-url "$INSTANCE_URL" --no-prompt --alias acme --json | grep -q '"status": 0'
	touch "$HOME/in"
	exit 0
fi
cd "$HOME" || exit
case $((step % 3)) in
0) sf data query --target-org acme --query 'SELECT Id, Name FROM Account LIMIT 7' --json | grep -q '"totalSize": 7' ;;
1)
	printf 'Name\nAcme\nUmbrella\n' >rows.csv
	sf data import bulk --target-org acme --sobject Account --file rows.csv --wait 5 --json | grep -q '"processedRecords": 2'
	;;
2) sf api request rest --target-org acme 'services/data/v65.0/limits' | grep -q DailyApiRequests ;;
esac
