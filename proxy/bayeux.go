package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// bayeuxMessage is what the answer to a Bayeux message repeats of it (Bayeux protocol, section 4): without id and channel
// clients don't know what was answered, and send it again for ever.
type bayeuxMessage struct {
	ID           json.RawMessage `json:"id,omitempty"`
	Channel      string          `json:"channel,omitempty"`
	ClientID     string          `json:"clientId,omitempty"`
	Subscription json.RawMessage `json:"subscription,omitempty"`
}

// readBayeux returns the messages of a request, or one empty one when it can't be read.
func readBayeux(body io.Reader) []bayeuxMessage {
	var messages []bayeuxMessage
	if body != nil {
		text, _ := io.ReadAll(io.LimitReader(body, maxJudged)) // Of a broken body nobody waits for the answer.
		if json.Unmarshal(text, &messages) != nil {
			var one bayeuxMessage
			if json.Unmarshal(text, &one) == nil {
				messages = []bayeuxMessage{one}
			}
		}
	}
	if len(messages) == 0 {
		return []bayeuxMessage{{}}
	}
	return messages
}

// bayeux returns a as the answer to messages. advice says what the client does next: nothing, or the same again where that
// may help.
func (a answer) bayeux(messages []bayeuxMessage) []byte {
	type reply struct {
		bayeuxMessage
		Successful bool           `json:"successful"`
		Error      string         `json:"error"`
		Advice     map[string]any `json:"advice"`
	}
	advice := map[string]any{"reconnect": "none"}
	if a.grpcStatus() == grpcUnavailable {
		advice = map[string]any{"reconnect": "retry", "interval": max(a.retryAfter, time.Second).Milliseconds()}
	}
	out := make([]reply, 0, len(messages))
	for _, m := range messages {
		out = append(out, reply{bayeuxMessage: m, Error: fmt.Sprintf("%d::%s: %s", a.shown(), a.name(), a.message), Advice: advice})
	}
	return encodeJSON(out)
}

// bayeux returns the messages that c answers, as far as its body is still there.
func (c *call) bayeux() []bayeuxMessage {
	if c.form != formCometD {
		return nil
	}
	if c.body == nil {
		return readBayeux(newUpload(c.r.Body, c.w, c.server.opts.StallTimeout))
	}
	again, ok := c.body.next()
	if !ok {
		return nil
	}
	return readBayeux(again)
}

// bayeuxOf is the same for a request outside a tunnel.
func (s *Server) bayeuxOf(w http.ResponseWriter, r *http.Request, f form) []bayeuxMessage {
	if f != formCometD || r.Body == nil {
		return nil
	}
	return readBayeux(newUpload(r.Body, w, s.opts.StallTimeout))
}
