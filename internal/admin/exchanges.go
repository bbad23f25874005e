package admin

import (
	"net/http"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/tokens"
)

// How many exchanges one answer has.
const (
	defaultExchanges = 100
	maxExchanges     = 1000
)

// listExchanges answers the newest exchanges after a time, oldest first.
func (s *Server) listExchanges(r *http.Request) (reply, error) {
	q, snapshot := r.URL.Query(), s.o.Registry.Snapshot()
	var org tokens.OrgID
	if name := q.Get("org"); name != "" {
		o := snapshot.Org(name)
		if o == nil {
			return reply{}, &registry.UnknownError{Kind: registry.KindOrg, Name: name}
		}
		org = tokens.OrgID(o.Key)
	}
	var after time.Time
	if s := q.Get("after"); s != "" {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return reply{}, badRequest("after must be a time as 2026-05-11T12:00:00.5Z")
		}
		after = t
	}
	limit, err := number(r, "limit", defaultExchanges, maxExchanges)
	if err != nil {
		return reply{}, err
	}
	found, err := s.o.History.List(r.Context(), org, after, limit)
	if err != nil {
		return reply{}, err
	}
	out := exchangeList{Exchanges: make([]Exchange, 0, len(found)), Next: at(after)}
	for _, e := range found {
		out.Exchanges = append(out.Exchanges, viewExchange(snapshot, e))
		out.Next = at(e.Time)
	}
	return ok(out), nil
}

// spent is d in words, nothing for none.
func spent(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func viewExchange(snapshot *registry.Snapshot, e tokens.Exchange) Exchange {
	return Exchange{
		Time: e.Time.UTC(), Org: nameOf(snapshot, e.Org), Epoch: e.Epoch, Generation: e.Generation, Attempt: string(e.Attempt), Reason: e.Reason,
		Replica: e.Replica, Outcome: e.Outcome, Race: e.Race, Waiters: e.Waiters, LockWait: e.LockWait.String(), Duration: e.Duration.String(),
		LeaseMargin: e.Margin, TraceID: e.Trace, Detail: e.Detail, Winner: e.Winner, Origin: e.Origin, Address: e.Address, Answer: e.Answer,
		AnswerTime: spent(e.AnswerTime),
	}
}
