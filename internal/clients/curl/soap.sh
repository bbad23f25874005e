# The partner API with a session id that nobody issued. loop.sh runs it.
# shellcheck shell=bash
# soap OPERATION-XML prints the answer, or on stderr a fault.
soap() {
	local said
	said=$(envelope "$1" | curl -sS --fail-with-body --max-time 60 -H 'Content-Type: text/xml; charset=UTF-8' -H 'SOAPAction: ""' -d @- "$INSTANCE_URL/services/Soap/u/65.0") || {
		printf '%s\n' "$said" >&2
		return 22
	}
	printf '%s\n' "$said"
}

envelope() {
	cat <<-EOF
		<?xml version="1.0" encoding="UTF-8"?>
		<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:urn="urn:partner.soap.sforce.com">
		<soapenv:Header><urn:SessionHeader><urn:sessionId>$ACCESS_TOKEN</urn:sessionId></urn:SessionHeader></soapenv:Header>
		<soapenv:Body>$1</soapenv:Body></soapenv:Envelope>
	EOF
}

soap '<urn:getUserInfo/>' | grep -q '<organizationId>00D'
soap '<urn:getServerTimestamp/>' | grep -q '<timestamp>'
soap '<urn:query><urn:queryString>SELECT Id, Name FROM Account LIMIT 2</urn:queryString></urn:query>' | grep -q '<size>2</size>'
