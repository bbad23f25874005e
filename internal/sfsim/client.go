package sfsim

type secretRule int

const (
	secretForRefresh secretRule = iota
	secretAlways                // of apps that have one
)

// client authenticates the client. Sim.mu is held.
func (s *Sim) client(q *request, rule secretRule) (*app, *result) {
	if v, ok := readAssertion(q.params.Get("client_assertion")); ok && q.client == "" {
		q.client = v.text("iss")
	}
	ap, secret := s.credential(q.client)
	if ap == nil {
		return nil, fail("invalid_client_id", "client identifier invalid")
	}
	q.signing = secret
	missing := q.secret == "" && secret != "" && (rule == secretAlways || ap.SecretRequiredForRefresh)
	wrong := q.secret != "" && q.secret != secret
	if q.params.Has("client_assertion") {
		missing, wrong = false, wrong || !s.clientAssertion(q, ap)
	}
	if missing || wrong || q.fault.Refuse == RefuseClient {
		return nil, fail("invalid_client", "invalid client credentials")
	}
	return ap, nil
}

// extras are the fields of an answer that depend on scopes and host.
func (s *Sim) extras(q *request, a *access) fields {
	var f fields
	if hasScope(a.scope, "openid") {
		f = append(f, [2]string{"id_token", s.mint.idToken(q.client, a.user.identity, a.org.instance, a.issued)})
	}
	if hasScope(a.scope, "sfap_api") || hasScope(a.scope, "mcp_api") {
		f = append(f, [2]string{"api_instance_url", "https://api.salesforce.com"})
	}
	if q.host.kind == aliasHost && site(q.name) {
		f = append(f, fields{{"sfdc_community_url", "https://" + q.name}, {"sfdc_community_id", to18("0DBWt0000000001")}}...)
	}
	return f
}
