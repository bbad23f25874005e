package admin

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strconv"
)

// Who makes a request, by where it came in.
const (
	tokenActor  = "token"
	socketActor = "socket"
)

type contextKey int

const (
	actorKey contextKey = iota
	peerKey
)

// peer is a process at the other end of a Unix socket, as the kernel saw it when it connected.
type peer struct{ uid, pid int }

// ConnContext notes who connected to a Unix socket, for the audit. It is meant for http.Server.ConnContext, which
// [NewHTTPServer] sets.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	if p, ok := peerOf(u); ok {
		ctx = context.WithValue(ctx, peerKey, p)
	}
	return ctx
}

// as notes how a request was let in.
func as(actor string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), actorKey, actor)))
	})
}

// audit writes the one line of a change: who, what, from where, and what came of it.
func (s *Server) audit(r *http.Request, rt route, a reply, err error) {
	ctx := r.Context()
	who, _ := ctx.Value(actorKey).(string)
	from := r.RemoteAddr
	if p, ok := ctx.Value(peerKey).(peer); ok {
		who, from = who+" uid="+strconv.Itoa(p.uid), "pid="+strconv.Itoa(p.pid)
	}
	attrs := []slog.Attr{slog.String("who", who), slog.String("action", rt.action), slog.String("from", from)}
	if name := r.PathValue("name"); name != "" {
		attrs = append(attrs, slog.String("name", name))
	}
	level, result := slog.LevelInfo, "done"
	if err != nil {
		p := problemOf(err)
		level, result = slog.LevelWarn, p.Code
		attrs = append(attrs, slog.Int("status", p.Status))
	} else {
		attrs = append(attrs, slog.Int("status", a.status))
	}
	if d, ok := a.body.(audited); ok {
		attrs = append(attrs, d.auditAttrs()...)
	}
	s.log.LogAttrs(ctx, level, "audit", append(attrs, slog.String("result", result))...)
}

// audited is an answer that has more to say in the audit. It never gives a secret.
type audited interface{ auditAttrs() []slog.Attr }
