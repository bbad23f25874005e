package sfsim

import "sync"

// maxShelf is how many things of a kind are kept; then the oldest is forgotten.
const maxShelf = 10_000

// shelf keeps what an answer of an API refers to later: jobs, query locators,
// clients of the Streaming API. The zero value is empty.
type shelf[T any] struct {
	mu    sync.Mutex // guards all below, not what the values point to
	items map[string]*T
	order []string // oldest first
}

// put keeps v under id, which must be new.
func (s *shelf[T]) put(id string, v *T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items == nil {
		s.items = map[string]*T{}
	}
	s.items[id] = v
	if s.order = append(s.order, id); len(s.order) > maxShelf {
		delete(s.items, s.order[0])
		s.order = s.order[1:]
	}
}

// get returns what is kept under id, or nil.
func (s *shelf[T]) get(id string) *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.items[id]
}
