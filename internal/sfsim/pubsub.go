package sfsim

import (
	"net"
	"net/http"
	"strings"
)

// Hosts of the Pub/Sub API, on ports 443 and 7443. Only the one for data
// residency in Germany is known by name among the regional ones.
const (
	PubSubHost        = "api.pubsub.salesforce.com"
	PubSubHostGermany = "api.deu.pubsub.salesforce.com"
)

// pubsubPort reports whether an authority has a port of the Pub/Sub API.
func pubsubPort(authority string) bool {
	_, port, err := net.SplitHostPort(authority)
	return err != nil || port == "443" || port == "7443"
}

// pubsub serves eventbus.v1.PubSub. The session is in the metadata of the call
// and is looked at when the call begins.
func (s *Sim) pubsub(w http.ResponseWriter, c *call) {
	kind := c.Header.Get("Content-Type")
	switch {
	case c.ProtoMajor < 2:
		http.Error(w, "HTTP/2 required", http.StatusHTTPVersionNotSupported)
		return
	case c.Method != http.MethodPost || kind != "application/grpc" && !strings.HasPrefix(kind, "application/grpc+"):
		http.Error(w, "not gRPC", http.StatusUnsupportedMediaType)
		return
	}
	r := &rpc{sim: s, w: w, call: c, id: s.mint.uuid()}
	r.seq = s.openRPC(c, r.id)
	method, known := strings.CutPrefix(c.path, "/eventbus.v1.PubSub/")
	serve := map[string]func(*Sim, *rpc) *grpcError{
		"GetTopic": (*Sim).getTopic, "GetSchema": (*Sim).getSchema, "Publish": (*Sim).publish,
		"PublishStream": (*Sim).publishStream, "Subscribe": (*Sim).subscribe, "ManagedSubscribe": (*Sim).managedSubscribe,
	}[method]
	if !known || serve == nil {
		r.end(&grpcError{grpcUnimplemented, "", "Method not found: " + strings.TrimPrefix(c.path, "/")})
		return
	}
	if err := s.pubsubSession(r); err != nil {
		r.end(err)
		return
	}
	if err := serve(s, r); !c.cut {
		r.end(err)
	}
}

func unauthenticated(code string) *grpcError {
	return &grpcError{grpcUnauthenticated, code, "An authentication exception occurred. Provide valid authentication via metadata headers."}
}

// pubsubSession checks accesstoken, instanceurl and tenantid, which must all be
// of one org; the tenant id has 18 characters.
func (s *Sim) pubsubSession(r *rpc) *grpcError {
	c := r.call
	token, instance, tenant := c.Header.Get("Accesstoken"), c.Header.Get("Instanceurl"), c.Header.Get("Tenantid")
	if id, err := fullID(tenant, "00D"); token == "" || instance == "" || err != nil || id != tenant {
		s.stray(c, "")
		s.ledger.anonymousRefused.Add(1)
		return unauthenticated("service.auth.headers.invalid")
	}
	if a := s.access(token); a != nil && (a.org.ID != tenant || !a.org.at(instance)) {
		if s.elsewhere(a.org, tenant, instance) {
			s.violate(c, ForeignToken, "access token of "+a.org.Host)
		}
		s.stray(c, token)
		a.refused.Add(1)
		return unauthenticated("service.auth.error")
	}
	if r.session = s.enter(c, token); r.session == nil {
		return unauthenticated("service.auth.error")
	}
	r.session.org.calls.Add(1)
	return nil
}

// at reports whether an instance URL is the org's, a trailing slash and case
// aside.
func (o *org) at(instance string) bool {
	instance = strings.ToLower(strings.TrimRight(instance, "/"))
	if instance == o.instance {
		return true
	}
	for _, a := range o.Aliases {
		if instance == "https://"+strings.ToLower(a) {
			return true
		}
	}
	return false
}

// elsewhere reports whether the tenant or the instance is another org's.
func (s *Sim) elsewhere(o *org, tenant, instance string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.orgs {
		if other != o && (other.ID == tenant || other.at(instance)) {
			return true
		}
	}
	return false
}

// topicOf finds a topic. Every name under /event/ and /data/ is one.
func topicOf(name string) *grpcError {
	switch {
	case name == "":
		return &grpcError{grpcInvalidArgument, "topic.validation.empty", "The topic name must not be empty."}
	case strings.HasPrefix(name, "/event/"), strings.HasPrefix(name, "/data/"):
		return nil
	}
	return &grpcError{grpcNotFound, "topic.not.found", "The topic does not exist: " + name}
}

// only reads the only message of a unary call.
func (r *rpc) only() ([]byte, *grpcError) {
	m, err := r.recv()
	if err == nil {
		return m, nil
	}
	if e := r.ended(err); e != nil || r.call.cut {
		return nil, e
	}
	return nil, &grpcError{grpcInternal, "", "Half-closed without a request"}
}

// one reads the only message of a unary call and splits it.
func (r *rpc) one() ([]protoField, *grpcError) {
	m, err := r.only()
	if err != nil || r.call.cut {
		return nil, err
	}
	f, ok := readProto(m)
	if !ok {
		return nil, &grpcError{grpcInternal, "", "Invalid protobuf byte sequence"}
	}
	return f, nil
}

func textOf(fields []protoField, num int) string {
	for _, f := range fields {
		if f.num == num {
			return string(f.b)
		}
	}
	return ""
}

// reply sends the only message of a unary call.
func (r *rpc) reply(m []byte) *grpcError {
	if r.send(m) != nil {
		r.call.cut = true
	}
	return nil
}

func (s *Sim) getTopic(r *rpc) *grpcError {
	q, err := r.one()
	if err != nil || r.call.cut {
		return err
	}
	name := textOf(q, 1)
	if err := topicOf(name); err != nil {
		return err
	}
	publishes := uint64(0)
	if strings.HasPrefix(name, "/event/") {
		publishes = 1
	}
	return r.reply(proto{}.text(1, name).text(2, r.session.org.ID).varint(3, publishes).varint(4, 1).text(5, schemaOf(name)).text(6, r.id))
}

// eventSchema is the Avro schema of every event.
const eventSchema = `{"type":"record","name":"Event","namespace":"com.sforce.eventbus","fields":[` +
	`{"name":"CreatedDate","type":"long"},{"name":"CreatedById","type":"string"},{"name":"Message__c","type":["null","string"],"default":null}]}`

// schemaOf returns the id of a topic's schema.
func schemaOf(topic string) string { return Fingerprint(topic) }

func (s *Sim) getSchema(r *rpc) *grpcError {
	q, err := r.one()
	if err != nil || r.call.cut {
		return err
	}
	id := textOf(q, 1)
	if id == "" {
		return &grpcError{grpcInvalidArgument, "schema.validation.failed", "The schema ID must not be empty."}
	}
	return r.reply(proto{}.text(1, eventSchema).text(2, id).text(3, r.id))
}
