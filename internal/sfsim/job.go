package sfsim

import (
	"sync"
	"time"
)

// job is a job of Bulk API 1.0 or 2.0. What a batch holds is counted, not kept.
type job struct {
	id        string
	operation string
	object    string
	kind      string // content type: CSV, JSON or XML
	external  string // external id field
	soql      string // of a query job
	org       *org
	user      *user
	made      time.Time

	mu      sync.Mutex // guards all below
	state   string
	batches []*batch
}

// batch is a batch of a job; a Bulk 2.0 job has at most one.
type batch struct {
	id      string
	records int
	query   string // SOQL of a query job's batch
}

// newJob keeps a new job.
func (s *Sim) newJob(a *access, j *job) *job {
	j.id, j.org, j.user, j.made = s.mint.id("750"), a.org, a.user, s.now()
	if j.kind == "" {
		j.kind = "CSV"
	}
	s.jobs.put(j.id, j)
	return j
}

// jobOf finds a job of the session's org by its id of 15 or 18 characters.
func (s *Sim) jobOf(a *access, id string) *job {
	id, err := fullID(id, "750")
	if err != nil {
		return nil
	}
	if j := s.jobs.get(id); j != nil && j.org == a.org {
		return j
	}
	return nil
}

func (j *job) add(b *batch) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.batches = append(j.batches, b)
}

func (j *job) set(state string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.state = state
}

func (j *job) batch(id string) *batch {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, b := range j.batches {
		if b.id == id {
			return b
		}
	}
	return nil
}

// view returns a job's state, batches and records.
func (j *job) view() (state string, batches []*batch, records int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, b := range j.batches {
		records += b.records
	}
	return j.state, append([]*batch(nil), j.batches...), records
}

func (j *job) created() string { return j.made.UTC().Format("2006-01-02T15:04:05.000Z") }
