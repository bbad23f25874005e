# REST by HTTP/1.1 and HTTP/2. loop.sh runs it.
# shellcheck shell=bash
api=$INSTANCE_URL/services/data/v65.0
# call prints an answer, or on stderr one that is an error.
call() {
	local said
	said=$(curl -sS --fail-with-body --max-time 60 -H "Authorization: Bearer $ACCESS_TOKEN" "$@") || {
		printf '%s\n' "$said" >&2
		return 22
	}
	printf '%s\n' "$said"
}

call "$INSTANCE_URL/services/data/" | grep -q '"version":"65.0"'
for version in --http1.1 --http2; do
	call $version "$api/query?q=SELECT+Id,Name+FROM+Account+LIMIT+5" | grep -q '"totalSize":5'
	id=$(call $version -H 'Content-Type: application/json' -d '{"Name":"Acme"}' "$api/sobjects/Account" | grep -o '001[A-Za-z0-9]*')
	call $version -X PATCH -H 'Content-Type: application/json' -d '{"Name":"Acme 2"}' -o /dev/null -w '%{http_code}' "$api/sobjects/Account/$id" | grep -qx 204
	call $version -X DELETE -o /dev/null -w '%{http_code}' "$api/sobjects/Account/$id" | grep -qx 204
	call $version "$INSTANCE_URL/services/apexrest/echo?x=1" | grep -q '"method":"GET"'
	call $version "$INSTANCE_URL/services/oauth2/userinfo" | grep -q '"organization_id"'
done
