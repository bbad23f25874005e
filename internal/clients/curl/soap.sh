# The partner API with a session id that nobody issued. loop.sh runs it.
# shellcheck shell=bash
soap() { # soap OPERATION-XML
	curl -fsS --max-time 60 -H 'Content-Type: text/xml; charset=UTF-8' -H 'SOAPAction: ""' "$INSTANCE_URL/services/Soap/u/65.0" -d @- <<-EOF
		<?xml version="1.0" encoding="UTF-8"?>
		<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:urn="urn:partner.soap.sforce.com">
		<soapenv:Header><urn:SessionHeader><urn:sessionId>$ACCESS_TOKEN</urn:sessionId></urn:SessionHeader></soapenv:Header>
		<soapenv:Body>$1</soapenv:Body></soapenv:Envelope>
	EOF
}

soap '<urn:getUserInfo/>' | grep -q '<organizationId>00D'
soap '<urn:getServerTimestamp/>' | grep -q '<timestamp>'
soap '<urn:query><urn:queryString>SELECT Id, Name FROM Account LIMIT 2</urn:queryString></urn:query>' | grep -q '<size>2</size>'
