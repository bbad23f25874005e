package admin

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/tokens"
)

// How long a refresh is waited for before the answer is 202.
const (
	defaultWait = 30 * time.Second
	maxWait     = 4 * time.Minute
)

type importRequest struct {
	RefreshToken secret.Text `json:"refreshToken"`
}

func (s *Server) importGrant(r *http.Request) (reply, error) {
	o, err := s.org(r)
	if err != nil {
		return reply{}, err
	}
	const form = `{"refreshToken":"…"}`
	var in importRequest
	if err := decode(r, &in, form); err != nil {
		return reply{}, err
	}
	switch {
	case in.RefreshToken.IsZero():
		return reply{}, badRequest("refreshToken is missing: the body must be " + form)
	case registry.IsReference(in.RefreshToken.Reveal()):
		return reply{}, badRequest("refreshToken looks like a reference, and the API takes values only")
	case strings.ContainsAny(in.RefreshToken.Reveal(), " \t\r\n"):
		return reply{}, badRequest("refreshToken has white space in it")
	}
	done, err := s.o.Enroller.Import(r.Context(), tokens.OrgID(o.Key), in.RefreshToken)
	if err != nil {
		return reply{}, err
	}
	a := ok(viewEnrolled(done))
	if !done.Already {
		a.status = http.StatusCreated
	}
	return a, nil
}

func viewEnrolled(e tokens.Enrolled) Enrolled {
	return Enrolled{Already: e.Already, Epoch: e.Place.Epoch, Generation: e.Place.Generation, Truthful: e.Truthful}
}

// refresh begins an exchange and waits for it. An exchange that takes longer goes on: the answer is then 202 with the
// org as it is.
func (s *Server) refresh(r *http.Request) (reply, error) {
	o, err := s.org(r)
	if err != nil {
		return reply{}, err
	}
	wait, err := duration(r, "wait", defaultWait, maxWait)
	if err != nil {
		return reply{}, err
	}
	type result struct {
		exchange tokens.Exchange
		err      error
	}
	done := make(chan result, 1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), commandTimeout)
	go func() { // ends with the exchange, after commandTimeout at the latest
		defer cancel()
		e, err := s.o.Grants.Refresh(ctx, tokens.OrgID(o.Key))
		done <- result{e, err}
	}()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case d := <-done:
		if d.err != nil {
			return reply{}, d.err
		}
		return ok(viewExchange(s.o.Registry.Snapshot(), d.exchange)), nil
	case <-timer.C:
		return reply{status: http.StatusAccepted, body: s.viewOrg(s.o.Registry.Snapshot(), o)}, nil
	}
}

func (s *Server) settle(r *http.Request) (reply, error) {
	return s.command(r, s.o.Grants.Settle)
}

func (s *Server) revoke(r *http.Request) (reply, error) {
	return s.command(r, s.o.Ender.Revoke)
}

func (s *Server) forget(r *http.Request) (reply, error) {
	return s.command(r, s.o.Ender.Forget)
}

func (s *Server) confirm(r *http.Request) (reply, error) {
	var in struct {
		Unverified bool `json:"unverified"`
	}
	if err := decode(r, &in, `{"unverified":false}`); err != nil {
		return reply{}, err
	}
	return s.command(r, func(ctx context.Context, org tokens.OrgID) error {
		return s.o.Grants.Confirm(ctx, org, in.Unverified)
	})
}

// command runs f on the org that the path names and answers with the org as it is then.
func (s *Server) command(r *http.Request, f func(context.Context, tokens.OrgID) error) (reply, error) {
	o, err := s.org(r)
	if err != nil {
		return reply{}, err
	}
	if err := f(r.Context(), tokens.OrgID(o.Key)); err != nil {
		return reply{}, err
	}
	return s.orgReply(o)
}
