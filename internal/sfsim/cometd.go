package sfsim

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// longPoll is how long a connect without events is held.
const longPoll = 10 * time.Second

// comet keeps the clients of the Streaming API.
type comet struct {
	clients shelf[cometClient] // by clientId

	mu     sync.Mutex                // guards all below
	topics map[string][]*cometClient // by org id and channel
	replay int64                     // of the last event
}

// cometClient is a client after its handshake. It outlives the access token that
// it was made with.
type cometClient struct {
	org *org

	mu     sync.Mutex // guards all below
	events []map[string]any
	topics int
	more   chan struct{} // holds one when there are events
}

type bayeux struct {
	Channel      string          `json:"channel"`
	ID           any             `json:"id,omitempty"`
	ClientID     string          `json:"clientId,omitempty"`
	Subscription any             `json:"subscription,omitempty"` // a name or several
	Data         json.RawMessage `json:"data,omitempty"`
}

// cometd serves the Streaming API. A dead session is told inside a 200.
func (s *Sim) cometd(w http.ResponseWriter, c *call) {
	token, _ := bearer(c.Header.Get("Authorization"))
	a := s.enter(c, token)
	var body []byte
	if c.Body != nil {
		body, _ = io.ReadAll(io.LimitReader(c.Body, maxParams)) // a broken body doesn't parse
	}
	var messages []bayeux
	if json.Unmarshal(body, &messages) != nil {
		var one bayeux
		if json.Unmarshal(body, &one) != nil {
			http.Error(w, "400::Bad request", http.StatusBadRequest)
			return
		}
		messages = []bayeux{one}
	}
	out := []map[string]any{}
	for _, m := range messages {
		v := m.answer(a)
		if a != nil {
			out = append(out, s.comet.serve(c, a, s.mint, m, v)...)
		}
		out = append(out, v)
	}
	if a != nil {
		stamp(w, a)
	}
	w.Header().Set("Content-Type", jsonType)
	_, _ = w.Write(marshal(out))
}

// answer is a message's answer as far as the session decides it.
func (m bayeux) answer(a *access) map[string]any {
	v := map[string]any{"channel": m.Channel, "successful": a != nil}
	if m.ID != nil {
		v["id"] = m.ID
	}
	handshake := m.Channel == "/meta/handshake"
	switch {
	case a == nil && handshake:
		v["error"] = "403::Handshake denied"
		v["ext"] = map[string]any{"replay": true, "sfdc": map[string]string{"failureReason": "401::Authentication invalid"}}
		v["advice"] = map[string]string{"reconnect": "none"}
	case a == nil:
		v["error"] = "401::Authentication invalid"
		v["advice"] = map[string]string{"reconnect": "none"}
	default:
		v["clientId"] = m.ClientID
	}
	return v
}

// serve does what a message of a living session asks for, completes its answer v
// and returns the events that go before it.
func (t *comet) serve(c *call, a *access, mint *mint, m bayeux, v map[string]any) []map[string]any {
	if m.Channel == "/meta/handshake" {
		id := "sfsim" + Fingerprint(mint.uuid())
		t.clients.put(id, &cometClient{org: a.org, more: make(chan struct{}, 1)})
		v["clientId"], v["version"], v["minimumVersion"] = id, "1.0", "1.0"
		v["supportedConnectionTypes"] = []string{"long-polling"}
		v["ext"] = map[string]any{"replay": true, "payload.format": true}
		return nil
	}
	k := t.clients.get(m.ClientID)
	if k == nil || k.org != a.org {
		v["successful"], v["error"] = false, "403::Unknown client"
		v["advice"] = map[string]any{"interval": 0, "reconnect": "handshake"}
		return nil
	}
	switch m.Channel {
	case "/meta/connect":
		v["advice"] = map[string]any{"interval": 0, "timeout": 110000, "reconnect": "retry"}
		return k.wait(c)
	case "/meta/subscribe":
		v["subscription"] = m.Subscription
		for _, name := range names(m.Subscription) {
			t.subscribe(k, name)
		}
	case "/meta/unsubscribe", "/meta/disconnect":
		v["subscription"] = m.Subscription
		t.forget(k)
	}
	return nil
}

func names(subscription any) []string {
	switch v := subscription.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, n := range v {
			if n, ok := n.(string); ok {
				out = append(out, n)
			}
		}
		return out
	}
	return nil
}

func (t *comet) subscribe(k *cometClient, channel string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.topics == nil {
		t.topics = map[string][]*cometClient{}
	}
	t.topics[k.org.ID+channel] = append(t.topics[k.org.ID+channel], k)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.topics++
}

// forget ends all of a client's subscriptions.
func (t *comet) forget(k *cometClient) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, all := range t.topics {
		kept := all[:0:0]
		for _, other := range all {
			if other != k {
				kept = append(kept, other)
			}
		}
		t.topics[name] = kept
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.topics = 0
}

// publish sends an event to the subscribers of a channel.
func (t *comet) publish(orgID, channel string, payload []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replay++
	for _, k := range t.topics[orgID+channel] {
		k.push(map[string]any{"channel": channel, "data": map[string]any{"payload": json.RawMessage(payload),
			"schema": Fingerprint(channel), "event": map[string]any{"replayId": t.replay}}})
	}
}

// maxQueued is how many events wait for a client; then the oldest is dropped.
const maxQueued = 1000

func (k *cometClient) push(event map[string]any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.events = append(k.events, event); len(k.events) > maxQueued {
		k.events = k.events[1:]
	}
	select {
	case k.more <- struct{}{}:
	default:
	}
}

// wait holds a connect of a client with subscriptions until there are events.
func (k *cometClient) wait(c *call) []map[string]any {
	if out, subscribed := k.take(); len(out) > 0 || !subscribed {
		return out
	}
	closing, _ := c.Context().Value(closingKey{}).(<-chan struct{})
	t := time.NewTimer(longPoll)
	defer t.Stop()
	select {
	case <-k.more:
	case <-t.C:
	case <-closing:
	case <-c.Context().Done():
	}
	out, _ := k.take()
	return out
}

func (k *cometClient) take() (events []map[string]any, subscribed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.more:
	default:
	}
	events, k.events = k.events, nil
	return events, k.topics > 0
}

// PushEvent sends an event to those who subscribe a channel of the Streaming API
// of an org, such as /topic/Invoices or /event/Order__e. The payload is JSON. It
// fails when there is no such org.
func (s *Sim) PushEvent(orgRef, channel string, payload []byte) error {
	return s.withOrg(orgRef, func(o *org) { s.comet.publish(o.ID, strings.TrimSuffix(channel, "/"), payload) })
}
