package sfsim_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"regexp"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sallyport/sallyport/internal/sfsim"
)

// raw is a codec that leaves messages as they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
func (raw) Unmarshal(b []byte, v any) error { *v.(*[]byte) = append([]byte(nil), b...); return nil }
func (raw) Name() string                    { return "proto" }
func text(b []byte, n int, v string) []byte { return blob(b, n, []byte(v)) }
func number(b []byte, n int, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, protowire.Number(n), protowire.VarintType), v)
}
func blob(b []byte, n int, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, protowire.Number(n), protowire.BytesType), v)
}
func fetch(topic string, n uint64) []byte            { return number(text(nil, 1, topic), 4, n) }
func from(m []byte, preset uint64, id string) []byte { return text(number(m, 2, preset), 3, id) }

// fields splits a message: texts of length-delimited fields, numbers in decimal.
func fields(t *testing.T, m []byte) map[int][]string {
	t.Helper()
	out := map[int][]string{}
	for len(m) > 0 {
		num, kind, n := protowire.ConsumeTag(m)
		check(t, protowire.ParseError(n))
		m = m[n:]
		var v string
		switch kind {
		case protowire.VarintType:
			u, k := protowire.ConsumeVarint(m)
			v, n = fmt.Sprint(u), k
		default:
			b, k := protowire.ConsumeBytes(m)
			v, n = string(b), k
		}
		check(t, protowire.ParseError(n))
		out[int(num)], m = append(out[int(num)], v), m[n:]
	}
	return out
}

type pubsub struct {
	*fixture
	conn  *grpc.ClientConn
	grant sfsim.Grant
}

// dial connects grpc-go to the simulator as to a host of the Pub/Sub API.
func dial(t *testing.T, target string) pubsub {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	f, v := online(t, true)
	conn := must(grpc.NewClient("passthrough:///"+target,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: f.CertPool()})),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", v.Addr())
		}), grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}))))(t)
	t.Cleanup(func() {
		check(t, conn.Close())
		check(t, v.Close())
		goleak.VerifyNone(t, leaks)
	})
	return pubsub{f, conn, f.grant()}
}

// as returns a context with a session's metadata.
func (p pubsub) as(token, instance, tenant string) context.Context {
	return metadata.AppendToOutgoingContext(p.t.Context(), "accesstoken", token, "instanceurl", instance, "tenantid", tenant)
}

func (p pubsub) session() context.Context { return p.as(p.grant.AccessToken, base, p.grant.OrgID) }

func (p pubsub) call(ctx context.Context, method string, m []byte) ([]byte, metadata.MD, error) {
	var out []byte
	var trailer metadata.MD
	err := p.conn.Invoke(ctx, "/eventbus.v1.PubSub/"+method, &m, &out, grpc.Trailer(&trailer))
	return out, trailer, err
}

func (p pubsub) stream(ctx context.Context, method string, first []byte) grpc.ClientStream {
	p.t.Helper()
	s := must(p.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/eventbus.v1.PubSub/"+method))(p.t)
	check(p.t, s.SendMsg(&first))
	return s
}

func (p pubsub) next(s grpc.ClientStream) map[int][]string {
	p.t.Helper()
	var m []byte
	check(p.t, s.RecvMsg(&m))
	return fields(p.t, m)
}

func (p pubsub) fails(s grpc.ClientStream, code codes.Code, errorCode string) {
	p.t.Helper()
	var m []byte
	for range 3 {
		if err := s.RecvMsg(&m); err != nil {
			refused(p.t, err, s.Trailer(), code, errorCode)
			return
		}
	}
	p.t.Errorf("the stream goes on, want %s", errorCode)
}

func refused(t *testing.T, err error, trailer metadata.MD, code codes.Code, errorCode string) {
	t.Helper()
	if got := trailer.Get("error-code"); status.Code(err) != code || len(got) != 1 || got[0] != "sfdc.platform.eventbus.grpc."+errorCode {
		t.Errorf("got %v with %v, want %v with %s", err, trailer, code, errorCode)
	}
}

const topic = "/event/Order__e"

func event(id, payload string) []byte { return text(text(text(nil, 1, id), 2, "schema"), 3, payload) }

func TestPubSubUnaryCalls(t *testing.T) {
	for _, target := range []string{"api.pubsub.salesforce.com:443", "api.pubsub.salesforce.com:7443", "api.deu.pubsub.salesforce.com:7443"} {
		t.Run(target, func(t *testing.T) {
			p := dial(t, target)
			m, _, err := p.call(p.session(), "GetTopic", text(nil, 1, topic))
			check(t, err)
			info := fields(t, m)
			if info[1][0] != topic || info[2][0] != p.grant.OrgID || info[3][0] != "1" || info[4][0] != "1" {
				t.Errorf("topic %v", info)
			}
			m, _, err = p.call(p.session(), "GetSchema", text(nil, 1, info[5][0]))
			check(t, err)
			if s := fields(t, m); s[2][0] != info[5][0] || s[1][0] == "" {
				t.Errorf("schema %v", s)
			}
			m, _, err = p.call(p.session(), "Publish", blob(blob(text(nil, 1, topic), 2, event("k1", "\x00a")), 2, event("k2", "b")))
			check(t, err)
			if r := fields(t, m); len(r[1]) != 2 || fields(t, []byte(r[1][1]))[3][0] != "k2" {
				t.Errorf("results %v", r)
			}
			_, trailer, err := p.call(p.session(), "GetTopic", text(nil, 1, "Order__e"))
			refused(t, err, trailer, codes.NotFound, "topic.not.found")
			_, trailer, err = p.call(p.session(), "Publish", text(nil, 1, topic))
			refused(t, err, trailer, codes.InvalidArgument, "publish.event.count.invalid")
			if _, _, err = p.call(p.session(), "Nothing", nil); status.Code(err) != codes.Unimplemented {
				t.Errorf("got %v", err)
			}
			x := p.Ledger().RPCs
			if len(x) != 6 || x[0].Method != "GetTopic" || x[0].TenantID != p.grant.OrgID || !x[0].Done || x[0].Status != 0 || x[0].Received != 1 || x[0].Sent != 1 ||
				x[0].Token.Fingerprint != sfsim.Fingerprint(p.grant.AccessToken) || x[3].ErrorCode != "sfdc.platform.eventbus.grpc.topic.not.found" {
				t.Errorf("ledger %+v", x)
			}
			p.violations(nil)
		})
	}
}

func TestPubSubSessions(t *testing.T) {
	message := regexp.MustCompile(`^An authentication exception occurred\. Provide valid authentication via metadata headers\. rpcId: ([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)
	for _, headersFirst := range []bool{false, true} {
		p := dial(t, "api.pubsub.salesforce.com:7443")
		p.switches(func(w *sfsim.Switches) { w.RefusalAfterHeaders = headersFirst })
		b := must(p.AddOrg(sfsim.Org{Host: "b.my.salesforce.com"}))(t)
		dead := p.KillAccess
		token := p.grant.AccessToken
		const auth, header = "service.auth.error", "service.auth.headers.invalid"
		cases := []struct {
			name                    string
			token, instance, tenant string
			code                    string
			want                    map[sfsim.ViolationKind]int
		}{
			{"a placeholder", "placeholder", base, p.grant.OrgID, auth, map[sfsim.ViolationKind]int{sfsim.UnknownCredential: 1}},
			{"the tenant of another org", token, base, b.ID, auth, map[sfsim.ViolationKind]int{sfsim.ForeignToken: 1}},
			{"the instance of another org", token, "https://b.my.salesforce.com", p.grant.OrgID, auth, map[sfsim.ViolationKind]int{sfsim.ForeignToken: 2}},
			{"a tenant of 15 characters", token, base, p.grant.OrgID[:15], header, nil},
			{"no token", "", base, p.grant.OrgID, header, nil},
			{"no instance", token, "", p.grant.OrgID, header, nil},
			{"a login host as instance", token, "https://login.salesforce.com", p.grant.OrgID, auth, nil},
		}
		for _, c := range cases {
			_, trailer, err := p.call(p.as(c.token, c.instance, c.tenant), "GetTopic", text(nil, 1, topic))
			refused(t, err, trailer, codes.Unauthenticated, c.code)
			m := message.FindStringSubmatch(status.Convert(err).Message())
			if id := trailer.Get("rpc-id"); m == nil || len(id) != 1 || id[0] != m[1] {
				t.Errorf("%s: %v with rpc-id %v", c.name, err, id)
			}
			for k, n := range c.want {
				if got := p.Ledger().ViolationCount[k]; got != n {
					t.Errorf("%s: %d × %s, want %d", c.name, got, k, n)
				}
			}
		}
		_, _, err := p.call(p.as(token, "HTTPS://ACME.my.salesforce.com/", p.grant.OrgID), "GetTopic", text(nil, 1, topic))
		check(t, err)
		dead(token)
		_, trailer, err := p.call(p.session(), "GetTopic", text(nil, 1, topic))
		refused(t, err, trailer, codes.Unauthenticated, auth)
	}
}

func TestSubscribe(t *testing.T) {
	p := dial(t, "api.pubsub.salesforce.com:443")
	for i := range 150 {
		check(t, p.PublishEvent(host, topic, fmt.Appendf(nil, "e%d", i+1)))
	}
	ctx, cancel := context.WithCancel(p.session())
	defer cancel()
	s := p.stream(ctx, "Subscribe", from(fetch(topic, 1000), 1, ""))
	r := p.next(s)
	if len(r[1]) != 100 || len(r[4]) != 0 {
		t.Fatalf("%d events, %v pending, want the most that one request gets", len(r[1]), r[4])
	}
	first := fields(t, []byte(r[1][0]))
	if got := fields(t, []byte(first[1][0])); got[3][0] != "e1" {
		t.Errorf("first event %v", got)
	}
	more := number(nil, 4, 60) // the topic may be left out
	check(t, s.SendMsg(&more))
	if r = p.next(s); len(r[1]) != 50 || r[4][0] != "10" {
		t.Errorf("%d events, %v pending", len(r[1]), r[4])
	}
	resume := r[2][0]

	// The session's end leaves the stream alone but not a new call.
	p.KillAccess(p.grant.AccessToken)
	check(t, p.PublishEvent(host, topic, []byte("late")))
	if r = p.next(s); fields(t, []byte(fields(t, []byte(r[1][0]))[1][0]))[3][0] != "late" || r[4][0] != "9" {
		t.Errorf("got %v", r)
	}
	p.fails(p.stream(p.session(), "Subscribe", fetch(topic, 1)), codes.Unauthenticated, "service.auth.error")
	check(t, s.CloseSend())
	var m []byte
	if err := s.RecvMsg(&m); err == nil || status.Code(err) != codes.Unknown && err.Error() != "EOF" {
		t.Errorf("after the half-close: %v", err)
	}
	if id := s.Trailer().Get("rpc-id"); len(id) != 1 {
		t.Errorf("trailers %v", s.Trailer())
	}

	p.grant = p.fixture.grant()
	s = p.stream(p.session(), "Subscribe", from(fetch(topic, 5), 2, resume))
	if r = p.next(s); len(r[1]) != 1 || r[4][0] != "4" {
		t.Errorf("%d events after the replay id, %v pending", len(r[1]), r[4])
	}
	other := fetch("/event/Other__e", 1)
	check(t, s.SendMsg(&other))
	p.fails(s, codes.InvalidArgument, "subscription.fetch.topic.mismatch")
}

func TestSubscribeRefusals(t *testing.T) {
	p := dial(t, "api.pubsub.salesforce.com:443")
	p.switches(func(w *sfsim.Switches) { w.FetchOver100Refused = true })
	cases := []struct {
		name    string
		request []byte
		status  codes.Code
		code    string
	}{
		{"no topic", fetch("", 1), codes.InvalidArgument, "topic.validation.empty"},
		{"a topic that isn't one", fetch("/topic/x", 1), codes.NotFound, "topic.not.found"},
		{"nothing asked for", fetch(topic, 0), codes.InvalidArgument, "subscription.fetch.requested.events.invalid"},
		{"over 100 events, under the switch", fetch(topic, 101), codes.InvalidArgument, "subscription.fetch.requested.events.invalid"},
		{"a place without a replay id", from(fetch(topic, 1), 2, ""), codes.InvalidArgument, "subscription.fetch.replayid.validation.failed"},
		{"a replay id that was never given", from(fetch(topic, 1), 2, "\x00\x00\x00\x00\x00\x00\x00\x09"), codes.InvalidArgument, "subscription.fetch.replayid.corrupted"},
		{"a dead token in auth_refresh", text(fetch(topic, 1), 5, "placeholder"), codes.Unauthenticated, "service.auth.refresh.invalid"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p.fails(p.stream(p.session(), "Subscribe", c.request), c.status, c.code)
		})
	}
	p.violations(map[sfsim.ViolationKind]int{sfsim.UnknownCredential: 1})
}

func TestStreamDiesWithItsTokenUnderTheSwitch(t *testing.T) {
	p := dial(t, "api.pubsub.salesforce.com:443")
	p.switches(func(w *sfsim.Switches) { w.StreamDiesWithToken = true })
	s := p.stream(p.session(), "Subscribe", fetch(topic, 5))
	_ = must(s.Header())(t)
	p.KillAccess(p.grant.AccessToken)
	check(t, p.PublishEvent(host, topic, nil))
	p.fails(s, codes.Unauthenticated, "service.auth.error")
}

func TestPublishStreamAndManagedSubscribe(t *testing.T) {
	p := dial(t, "api.pubsub.salesforce.com:443")
	ctx, cancel := context.WithTimeout(p.session(), time.Minute)
	defer cancel()
	managed := number(text(nil, 2, "Order__e"), 3, 2)
	sub := p.stream(ctx, "ManagedSubscribe", managed)
	_ = must(sub.Header())(t)

	pub := p.stream(ctx, "PublishStream", blob(text(nil, 1, topic), 2, event("a", "1")))
	if r := p.next(pub); len(r[1]) != 1 {
		t.Errorf("results %v", r)
	}
	second := blob(nil, 2, event("b", "2"))
	check(t, pub.SendMsg(&second))
	_ = p.next(pub)
	wrong := blob(text(nil, 1, "/event/Other__e"), 2, event("c", "3"))
	check(t, pub.SendMsg(&wrong))
	p.fails(pub, codes.InvalidArgument, "publish.topic.mismatch")

	got := p.next(sub)
	id := fields(t, []byte(got[1][0]))[2][0]
	commit := blob(nil, 5, text(text(nil, 1, "c1"), 2, id))
	check(t, sub.SendMsg(&commit))
	for got[5] == nil {
		got = p.next(sub)
	}
	if c := fields(t, []byte(got[5][0])); c[1][0] != "c1" || c[2][0] != id {
		t.Errorf("commit %v", c)
	}
	check(t, sub.CloseSend())
	again := p.stream(ctx, "ManagedSubscribe", managed)
	if r := p.next(again); len(r[1]) != 1 || fields(t, []byte(fields(t, []byte(r[1][0]))[1][0]))[1][0] != "b" {
		t.Errorf("got %v, want what follows the commit", r)
	}
	early := blob(number(text(nil, 2, "Order__e"), 3, 1), 5, text(nil, 1, "c2"))
	p.fails(p.stream(ctx, "ManagedSubscribe", early), codes.InvalidArgument, "managed.subscription.fetch.request.commit.request.restricted")
}

func TestPubSubFaults(t *testing.T) {
	p := dial(t, "api.pubsub.salesforce.com:443")
	p.Inject(sfsim.PubSubError(14, "service.unavailable", "100% busy"))
	_, trailer, err := p.call(p.session(), "GetTopic", text(nil, 1, topic))
	refused(t, err, trailer, codes.Unavailable, "service.unavailable")
	if status.Convert(err).Message() != "100% busy" {
		t.Errorf("got %v", err)
	}
	p.Inject(sfsim.HTML(503).On(sfsim.EndpointAPI))
	if _, _, err := p.call(p.session(), "GetTopic", text(nil, 1, topic)); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	p.Inject(sfsim.CutBody(20).On(sfsim.EndpointAPI))
	if _, _, err := p.call(p.session(), "GetTopic", text(nil, 1, topic)); err == nil {
		t.Error("got an answer over a cut connection")
	}
}

func TestPubSubWantsHTTP2AndItsPorts(t *testing.T) {
	f := setup(t)
	f.send("POST", "https://api.pubsub.salesforce.com/eventbus.v1.PubSub/GetTopic", "", "Content-Type", "application/json").want(t, 505, "HTTP/2 required")
	f.violations(nil)
	f.send("POST", "https://api.pubsub.salesforce.com:8443/eventbus.v1.PubSub/GetTopic", "", "Content-Type", "application/grpc").want(t, 404, "")
	f.violations(map[sfsim.ViolationKind]int{sfsim.UnknownHost: 1})
}
