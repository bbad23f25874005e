package redisstore

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport/tokens"
)

// metaDeployment is the name under which the deployment's id is made once.
const metaDeployment = "deployment"

// messageHead is what a message says of itself. The record follows as its last
// field, the very bytes that are stored.
type messageHead struct {
	Deployment string               `json:"deployment"`
	Identity   tokens.StoreIdentity `json:"identity"`
	Writer     string               `json:"writer"`
}

// message is what is published of each write of a record.
type message struct {
	messageHead
	Record json.RawMessage `json:"record"`
}

// tell is the step that publishes what is stored of org, if it is raw.
func (s *Store) tell(ctx context.Context, org tokens.OrgID, id tokens.StoreIdentity, raw string) (step, error) {
	deployment, err := s.deploymentID(ctx)
	if err != nil {
		return step{}, err
	}
	b, err := json.Marshal(messageHead{deployment, id, s.replica})
	if err != nil {
		return step{}, fmt.Errorf("redisstore: %w", err)
	}
	begin := string(b[:len(b)-1]) + `,"record":`
	return eval(&scriptPublish, []string{s.k.record(org)}, head(raw), s.k.chanRecords(), begin), nil
}

// deploymentID is the deployment's id, empty until somebody has made it.
func (s *Store) deploymentID(ctx context.Context) (string, error) {
	if id := s.deployment.Load(); id != nil {
		return *id, nil
	}
	v, err := s.Meta(ctx, metaDeployment) // which keeps it in mind
	return string(v), err
}

// Watch implements [tokens.Watcher]. Whenever its subscription stands, it also
// tells every record that the store holds, so that nothing falls in between. It
// ignores messages of other deployments, above 1 MiB, or that make no sense, and
// records of a newer schema that can't be read.
func (s *Store) Watch(ctx context.Context, heard func(tokens.Record)) error {
	return s.listen(ctx, s.k.chanRecords(), func() {
		for r, err := range s.All(ctx) {
			if err != nil {
				s.log.WarnContext(ctx, "a record couldn't be read after a subscription", "error", err)
				continue
			}
			heard(r)
		}
	}, func(payload string) {
		if r, ok := s.understand(ctx, payload); ok {
			heard(r)
		}
	})
}

func (s *Store) understand(ctx context.Context, payload string) (r tokens.Record, ok bool) {
	var m message
	if json.Unmarshal([]byte(payload), &m) != nil {
		return r, false
	}
	deployment, err := s.deploymentID(ctx)
	if err != nil || m.Deployment != deployment {
		return r, false
	}
	if json.Unmarshal(m.Record, &r) != nil || !r.Known() || r.Org == "" || r.Schema > tokens.Schema {
		return tokens.Record{}, false
	}
	return r, true
}
