# A job of Bulk API 1.0, in XML and CSV, and one in JSON. loop.sh runs it.
# shellcheck shell=bash
async=$INSTANCE_URL/services/async/65.0/job
# call prints an answer, or on stderr one that is an error.
call() {
	local said
	said=$(curl -sS --fail-with-body --max-time 60 -H "X-SFDC-Session: $ACCESS_TOKEN" "$@") || {
		printf '%s\n' "$said" >&2
		return 22
	}
	printf '%s\n' "$said"
}
field() { grep -o "<$1>[^<]*" | head -1 | cut -d'>' -f2; }

open='<?xml version="1.0" encoding="UTF-8"?><jobInfo xmlns="http://www.force.com/2009/06/asyncapi/dataload"><operation>insert</operation><object>Account</object><contentType>CSV</contentType></jobInfo>'
job=$(call -H 'Content-Type: application/xml; charset=UTF-8' -d "$open" "$async" | field id)
batch=$(printf 'Name\nAcme\nUmbrella\n' | call -H 'Content-Type: text/csv' --data-binary @- "$async/$job/batch" | field id)
call -H 'Content-Type: application/xml; charset=UTF-8' -d '<jobInfo xmlns="http://www.force.com/2009/06/asyncapi/dataload"><state>Closed</state></jobInfo>' "$async/$job" | grep -q '<state>Closed'
call "$async/$job/batch/$batch" | grep -q '<numberRecordsProcessed>2<'
call "$async/$job/batch/$batch/result" | grep -c '"true","true"' | grep -qx 2

job=$(call -H 'Content-Type: application/json' -d '{"operation":"insert","object":"Account","contentType":"JSON"}' "$async" | grep -o '750[A-Za-z0-9]*' | head -1)
batch=$(call -H 'Content-Type: application/json' -d '[{"Name":"Acme"},{"Name":"Umbrella"},{"Name":"Hooli"}]' "$async/$job/batch" | grep -o '751[A-Za-z0-9]*' | head -1)
call -H 'Accept: application/json' "$async/$job/batch/$batch" | grep -q '"numberRecordsProcessed":3'
